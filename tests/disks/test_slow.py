"""Disks that are slow to sync, all of them alike: a busy cloud volume, a disk that writes back."""

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from harness import Cluster, batch, wait_until
from harness.slow_disk import SlowDisk, Unavailable

WRITES_PER_SECOND = 4
TOPIC = "t"


@pytest.fixture
def slow():
    with Cluster("ottla") as cluster:
        try:
            disk = SlowDisk(cluster.directory, WRITES_PER_SECOND)
        except Unavailable as error:
            pytest.skip(str(error))
        try:
            yield cluster, disk
        finally:
            disk.close()


def test_controllers_whose_votes_take_longer_than_an_election_times_out_elect_one(slow):
    """A vote is synced before it is given. Before votes were collected ahead, and silence borne for
    as long as disks are slow, no controller was elected at all."""
    cluster, disk = slow
    topic = NewTopic(TOPIC, 1, 3, config={"min.insync.replicas": "2"})
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([topic])[TOPIC].result(30)
    cluster.wait_in_sync(TOPIC)
    for id in cluster.nodes:
        disk.add(cluster.pid(id))
    # The time in which openraft takes votes.
    assert disk.sync_seconds() > 0.4, "the disk is not slow"
    gone = cluster.controller()
    cluster.kill(gone)
    follows = lambda: cluster.controller(timeout=5, other_than=gone)
    wait_until(follows, 120, "a controller being elected")

    def acknowledged():
        leader = cluster.leader(TOPIC, other_than=gone)
        record = batch.Batch([(0, b"k", b"v")]).encode()
        return batch.produce(cluster.nodes[leader].address, TOPIC, record).error == 0

    wait_until(acknowledged, 120, "a record being acknowledged by two")
    disk.close()
    cluster.start_node(gone)
    cluster.wait_in_sync(TOPIC)
