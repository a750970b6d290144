"""Fetches that go on with no session (KIP-227), which a broker may decline to give."""

import pytest
from harness.batch import Batch

NOW = 1_700_000_000_000
ONE = Batch([(NOW, b"k", b"v")]).encode()
SESSION_NOT_FOUND = 70


@pytest.fixture
def topic(alone):
    topic = alone.topic(partitions=2)
    for partition in (0, 1):
        assert alone.produce(topic, ONE, partition).errorCode == 0
    return topic


def fetch(alone, session, epoch, topic=None, version=18):
    """(error, session id, partitions told of); both partitions at their end if `topic`."""
    named = {} if topic is None else (
        {"topicId": alone.ids[topic]} if version >= 13 else {"topic": topic})
    topics = [] if topic is None else [{**named, "partitions": [
        {"partition": p, "fetchOffset": 1, "partitionMaxBytes": 1 << 20} for p in (0, 1)]}]
    answer = alone.ask("Fetch", version, maxWaitMs=100, minBytes=1, sessionId=session,
                       sessionEpoch=epoch, topics=topics)
    told = [p.partitionIndex for t in answer.responses for p in t.partitions]
    return answer.errorCode, answer.sessionId, sorted(told)


@pytest.mark.parametrize("version", [7, 12, 18])
@pytest.mark.parametrize("epoch", [1, 2])
def test_no_session_has_no_epoch_but_the_first(alone, topic, version, epoch):
    assert fetch(alone, 0, epoch, topic, version) == (SESSION_NOT_FOUND, 0, [])


def test_without_a_session_all_is_told_each_time(alone, topic):
    assert fetch(alone, 0, -1, topic) == (0, 0, [0, 1])
    assert fetch(alone, 0, -1, topic) == (0, 0, [0, 1])


@pytest.mark.parametrize("version", [7, 12, 18])
def test_a_session_that_nobody_was_given_is_not_found(alone, topic, version):
    assert fetch(alone, 12345, 1, version=version) == (SESSION_NOT_FOUND, 0, [])
    assert fetch(alone, 12345, 7, topic, version) == (SESSION_NOT_FOUND, 0, [])


@pytest.mark.parametrize("epoch", [0, -1])
def test_a_session_that_is_begun_anew_or_ended_need_not_exist(alone, topic, epoch):
    error, session, told = fetch(alone, 12345, epoch, topic)
    assert (error, told) == (0, [0, 1]) and session != 12345
