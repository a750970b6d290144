"""ListOffsets: what a version does not know is refused, and so is a partition that is named twice."""

import pytest
from harness.batch import Batch

NOW = 1_700_000_000_000
UNKNOWN_TOPIC, UNSUPPORTED_VERSION, INVALID_REQUEST = 3, 35, 42
# Latest, earliest, newest record, earliest here, latest tiered, earliest to be tiered: the version
# that brought each, and what a partition of one record answers.
SPECIAL = {-1: (1, 1), -2: (1, 0), -3: (7, 0), -4: (8, 0), -5: (9, -1), -6: (11, -1)}


@pytest.fixture(scope="module")
def topic(alone):
    topic = alone.topic(partitions=2)
    assert alone.produce(topic, Batch([(NOW, b"k", b"v")]).encode()).errorCode == 0
    return topic


def ask(alone, version, *asked):
    """{partition: (error, offset)} of (topic, partition, time) each."""
    topics = [{"name": topic, "partitions": [{"partitionIndex": index, "timestamp": time}]}
              for topic, index, time in asked]
    answer = alone.ask("ListOffsets", version, replicaId=-1, topics=topics)
    told = [(p.partitionIndex, (p.errorCode, p.offset))
            for t in answer.topics for p in t.partitions]
    assert len(dict(told)) == len(told), "each partition is answered once"
    return dict(told)


@pytest.mark.parametrize("version", range(1, 12))
def test_a_special_time_is_refused_below_its_version(alone, topic, version):
    for time, (first, offset) in SPECIAL.items():
        expected = (0, offset) if version >= first else (UNSUPPORTED_VERSION, -1)
        assert ask(alone, version, (topic, 0, time)) == {0: expected}, time
    assert ask(alone, version, (topic, 0, -7)) == {0: (UNSUPPORTED_VERSION, -1)}


@pytest.mark.parametrize("version", [1, 6, 11])
def test_a_partition_named_twice_is_an_invalid_request_and_the_others_are_served(
        alone, topic, version):
    asked = [(topic, 0, -1), (topic, 1, -1), (topic, 0, -2)]
    assert ask(alone, version, *asked) == {0: (INVALID_REQUEST, -1), 1: (0, 0)}


def test_the_request_is_looked_at_before_the_topic(alone, name):
    asked = [(name, 0, -1), (name, 1, -9), (name, 2, -1), (name, 2, -1)]
    assert ask(alone, 11, *asked) == {
        0: (UNKNOWN_TOPIC, -1), 1: (UNSUPPORTED_VERSION, -1), 2: (INVALID_REQUEST, -1)}
