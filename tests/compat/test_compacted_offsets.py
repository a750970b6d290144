"""Groups whose history was compacted away are the same groups after a restart."""

import uuid

import kafka
import pytest
from clients.base import TIMEOUT
from clients.confluent import ConfluentAdmin
from conftest import OVERRIDES
from harness import Cluster, wait_until
from kafka.record import MemoryRecords

GROUPS = 6
COMMITS = 20
# Of each commit, each with some text beside its offset.
PARTITIONS = 30
TEXT = "x" * 4000
# The smallest segments, cleaned at once.
COMPACTED = {
    "offsets.topic.num.partitions": 2,
    "offsets.topic.segment.bytes": 1 << 20,
    "log.cleaner.backoff.ms": 100,
}


def records_kept(directory):
    """How many records of committed offsets one node has on disk."""
    count = 0
    for path in directory.glob("__consumer_offsets-*/*.log"):
        try:
            batches = MemoryRecords(path.read_bytes())
        except FileNotFoundError:
            continue  # replaced by a compacted one
        while (batch := batches.next_batch()) is not None:
            count += sum(1 for _ in batch)
    return count


def connect(bootstrap, group):
    return kafka.KafkaConsumer(bootstrap_servers=bootstrap.split(","), group_id=group,
                               enable_auto_commit=False)


def committed(bootstrap, topic, groups):
    """{group: [offset of each partition, or None]}"""
    offsets = {}
    for group in groups:
        consumer = wait_until(lambda: connect(bootstrap, group), TIMEOUT, "a connection")
        partitions = [kafka.TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        offsets[group] = [consumer.committed(partition) for partition in partitions]
        consumer.close()
    return offsets


@pytest.fixture
def own_cluster(system):
    with Cluster(system, overrides={**OVERRIDES, **COMPACTED}) as cluster:
        yield cluster


def test_groups_are_loaded_from_a_compacted_log_as_they_were(own_cluster):
    cluster = own_cluster
    topic = f"t-{uuid.uuid4().hex[:12]}"
    ConfluentAdmin().create(cluster.bootstrap, topic, PARTITIONS, 3)
    groups = [f"{topic}-{number}" for number in range(GROUPS)]
    expected = {}
    for number, group in enumerate(groups):
        consumer = wait_until(lambda: connect(cluster.bootstrap, group), TIMEOUT, "a connection")
        for round in range(COMMITS):
            offsets = [round + number + partition for partition in range(PARTITIONS)]
            consumer.commit({kafka.TopicPartition(topic, partition):
                             kafka.OffsetAndMetadata(offset, TEXT, -1)
                             for partition, offset in enumerate(offsets)})
            expected[group] = offsets
        consumer.close()
    # Deleted ones must not come back.
    deleted = groups[::3]
    for group, done in ConfluentAdmin().client(cluster.bootstrap).delete_consumer_groups(
            deleted).items():
        done.result(TIMEOUT)
        expected[group] = [None] * PARTITIONS
    assert committed(cluster.bootstrap, topic, groups) == expected
    for id in cluster.nodes:
        wait_until(lambda: records_kept(cluster.data_directory(id)) < GROUPS * COMMITS * PARTITIONS / 4,
                   TIMEOUT, f"node {id} having compacted its groups' history", pause=0.2)
    for id in cluster.nodes:
        cluster.restart(id)
    assert committed(cluster.bootstrap, topic, groups) == expected
