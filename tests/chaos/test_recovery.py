"""What a node looks through after a crash."""

import re
import time

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from harness import Cluster, batch, wait_until

TOPIC = "t"
SEGMENT_BYTES = 1 << 20
SEGMENTS = 12


def recovered_bytes(cluster):
    """How much each start has looked through."""
    text = cluster.nodes[1].process.log_path.read_text()
    return [int(size) for size in re.findall(r"recovered_bytes=(\d+)", text)]


def checkpointed(cluster):
    """The partition's recovery point as the next start will read it."""
    path = cluster.data_directory(1) / "recovery-point-offset-checkpoint"
    rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return next((int(row[2]) for row in rows if row[:2] == [TOPIC, "0"]), 0)


@pytest.fixture
def single():
    with Cluster("ottla", count=1) as cluster:
        config = {"segment.bytes": str(SEGMENT_BYTES)}
        topic = NewTopic(TOPIC, num_partitions=1, replication_factor=1, config=config)
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        admin.create_topics([topic])[TOPIC].result(30)
        cluster.wait_in_sync(TOPIC)
        yield cluster


def test_a_node_that_crashes_again_and_again_looks_through_its_log_once(single):
    """Else each crash within a minute of the last, the interval of the checkpoints, takes longer
    to recover from than the one before."""
    cluster = single
    value = bytes(256 * 1024)
    record = lambda: batch.Batch([(int(time.time() * 1000), b"k", value)]).encode()
    address = cluster.nodes[1].address
    for _ in range(SEGMENTS * SEGMENT_BYTES // len(value)):
        assert batch.produce(address, TOPIC, record()).error == 0
    end = cluster.end_offset(TOPIC)
    cluster.restart(1)
    wait_until(lambda: checkpointed(cluster) == end, 30, "the recovery being noted")
    cluster.restart(1)
    assert cluster.end_offset(TOPIC) == end
    *_, first, again = recovered_bytes(cluster)
    assert first > (SEGMENTS - 2) * SEGMENT_BYTES, "nothing to recover from"
    assert again <= 2 * SEGMENT_BYTES, f"{again} bytes after {first}"


def test_what_follows_a_refused_batch_is_refused_like_it(request):
    """A client has several batches under way. Told that the second is out of order, librdkafka
    begins a new epoch, and sends again what other partitions have appended without its knowing."""
    if request.config.getoption("--system") != "ottla":
        pytest.skip("elsewhere the second is out of order")
    not_enough_replicas, out_of_order = 19, 45
    with Cluster("ottla", count=3) as cluster:
        topic = NewTopic(TOPIC, 1, replica_assignment=[[1, 2]],
                         config={"min.insync.replicas": "2"})
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        admin.create_topics([topic])[TOPIC].result(30)
        cluster.wait_in_sync(TOPIC)

        def send(sequence):
            records = [(int(time.time() * 1000), b"k", b"%d" % sequence)]
            one = batch.Batch(records, producer_id=7, producer_epoch=0, base_sequence=sequence)
            done = batch.produce(cluster.nodes[1].address, TOPIC, one.encode())
            return done.error, done.base_offset

        wait_until(lambda: cluster.leader(TOPIC) == 1, 30, "the preferred leader")
        assert send(0) == (0, 0)
        cluster.kill(2)
        isr = lambda: cluster.partition(TOPIC).isr
        wait_until(lambda: isr() == [1], 30, "the follower being out")
        assert send(1) == (not_enough_replicas, -1)
        cluster.start_node(2)
        cluster.wait_in_sync(TOPIC)
        assert send(2) == (not_enough_replicas, -1), "the first one is still missing"
        assert send(3) == (not_enough_replicas, -1), "and is for the third"
        assert send(1) == (0, 1)
        assert send(3) == (not_enough_replicas, -1), "now the second is"
        assert [send(2), send(3), send(1)] == [(0, 2), (0, 3), (0, 1)]
        assert send(9) == (out_of_order, -1), "nobody has refused what is missing here"
        assert cluster.end_offset(TOPIC) == 4
