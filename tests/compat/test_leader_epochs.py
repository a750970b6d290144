"""Leader epochs of a partition that lives on one node, over orderly and hard restarts."""

import time

import pytest
from harness.batch import Batch

FENCED, UNKNOWN = 74, 75


def send(alone, topic):
    data = Batch([(int(time.time() * 1000), b"k", b"v")]).encode()
    assert alone.produce(topic, data).errorCode == 0


def epoch(alone, topic):
    answer = alone.ask("Metadata", 13, topics=[{"name": topic}])
    return answer.topics[0].partitions[0].leaderEpoch


@pytest.fixture(scope="module")
def topic(alone):
    """Two records, an orderly restart, a record, a hard restart, a record."""
    topic = alone.topic()
    send(alone, topic), send(alone, topic)
    alone.restart_orderly()
    alone.wait_led(topic)
    send(alone, topic)
    alone.restart(1)
    alone.wait_led(topic)
    send(alone, topic)
    return topic


def end_of(alone, topic, asked, current=-1):
    """(error, epoch, end offset)"""
    answer = alone.ask("OffsetForLeaderEpoch", 4, replicaId=-2, topics=[
        {"topic": topic, "partitions": [
            {"partition": 0, "currentLeaderEpoch": current, "leaderEpoch": asked}]}])
    one = answer.topics[0].partitions[0]
    return one.errorCode, one.leaderEpoch, one.endOffset


def test_each_restart_of_the_only_replica_is_two_epochs(alone, topic):
    """Leaderless, then elected."""
    assert epoch(alone, topic) == 4


def test_an_epoch_ends_where_the_next_one_began(alone, topic):
    current = epoch(alone, topic)
    assert {asked: end_of(alone, topic, asked) for asked in [0, 1, 2, 3, 4, current + 1, -1]} == {
        0: (0, 0, 2), 1: (0, 0, 2), 2: (0, 2, 3), 3: (0, 2, 3), 4: (0, 4, 4),
        current + 1: (0, -1, -1), -1: (0, -1, -1)}


def test_an_end_is_told_to_those_who_know_the_leader_only(alone, topic):
    current = epoch(alone, topic)
    assert end_of(alone, topic, 0, current)[0] == 0
    assert end_of(alone, topic, 0, current - 1) == (FENCED, -1, -1)
    assert end_of(alone, topic, 0, current + 1) == (UNKNOWN, -1, -1)


def test_an_orderly_end_leaves_the_epochs_in_the_checkpoint(alone, topic):
    alone.terminate(1)
    file = alone.data_directory(1) / f"{topic}-0" / "leader-epoch-checkpoint"
    lines = [line.rstrip() for line in file.read_text().splitlines()]
    alone.start_node(1)
    assert lines == ["0", "3", "0 0", "2 2", "4 3"]
