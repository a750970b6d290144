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
