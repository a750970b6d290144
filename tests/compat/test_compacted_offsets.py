"""Groups whose history was compacted away are the same groups after a restart."""

import uuid

import pytest
from clients.base import TIMEOUT
from clients.confluent import ConfluentAdmin
from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from conftest import OVERRIDES
from harness import Cluster, wait_until
from kafka.record import MemoryRecords

GROUPS = 6
COMMITS = 10
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


def committed(bootstrap, topic, groups):
    admin = ConfluentAdmin().client(bootstrap)
    offsets = {}
    for group in groups:
        wanted = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        wanted = [ConsumerGroupTopicPartitions(group, wanted)]
        answer = admin.list_consumer_group_offsets(wanted)[group].result(TIMEOUT)
        offsets[group] = {one.partition: one.offset for one in answer.topic_partitions}
    return offsets


def commit(consumer, topic, offsets):
    positions = [TopicPartition(topic, *position, metadata=TEXT) for position in offsets.items()]
    try:
        consumer.commit(offsets=positions, asynchronous=False)
    except KafkaException as error:
        if not error.args[0].retriable() and error.args[0].code() != KafkaError._WAIT_COORD:
            raise
        return False
    return True


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
        consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": group,
                             "enable.auto.commit": False})
        for round in range(COMMITS):
            offsets = {partition: round + number + partition for partition in range(PARTITIONS)}
            wait_until(lambda: commit(consumer, topic, offsets), TIMEOUT, "a commit")
            expected[group] = offsets
        consumer.close()
    # Deleted ones must not come back.
    deleted = groups[::3]
    for group, done in ConfluentAdmin().client(cluster.bootstrap).delete_consumer_groups(
            deleted).items():
        done.result(TIMEOUT)
        expected[group] = {partition: OFFSET_INVALID for partition in range(PARTITIONS)}
    assert committed(cluster.bootstrap, topic, groups) == expected
    for id in cluster.nodes:
        wait_until(lambda: records_kept(cluster.data_directory(id)) < GROUPS * COMMITS * PARTITIONS / 4,
                   TIMEOUT, f"node {id} having compacted its groups' history", pause=0.2)
    for id in cluster.nodes:
        cluster.restart(id)
    assert committed(cluster.bootstrap, topic, groups) == expected
