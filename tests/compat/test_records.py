"""Records go in by each client and come out by each client, unchanged and in order."""

import os
import time

import clients
import pytest
from clients import base
from clients.base import CODECS, Record
from kafka.record import MemoryRecords

ALL = pytest.mark.parametrize("client", clients.ALL, ids=repr)


def by_partition(consumed):
    """{partition: [(offset, key, value)]} in the order of arrival."""
    partitions = {}
    for record in consumed:
        partitions.setdefault(record.partition, []).append(
            (record.offset, record.key, record.value)
        )
    return partitions


def check_order(consumed):
    for partition, records in by_partition(consumed).items():
        offsets = [offset for offset, _, _ in records]
        assert offsets == list(range(len(offsets))), f"partition {partition}: {offsets}"


def on_disk(directory, topic):
    """What the segment files of one node hold, read by the Python client's own parser, as
    `by_partition` gives it."""
    partitions = {}
    for path in sorted(directory.glob(f"{topic}-*/*.log")):
        batches = MemoryRecords(path.read_bytes())
        records = partitions.setdefault(int(path.parent.name.rpartition("-")[2]), [])
        while (batch := batches.next_batch()) is not None:
            assert batch.validate_crc(), path
            records += [(r.offset, r.key, r.value) for r in batch]
    return partitions


def test_every_client_reads_what_every_client_wrote_in_every_codec(cluster, bootstrap, make_topic):
    topic = make_topic()
    written = []
    for client in clients.ALL:
        for codec in CODECS:
            records = [
                Record(f"{client} {codec} {i} é {'x' * 200}".encode(), f"key-{i}".encode())
                for i in range(8)
            ]
            client.produce(bootstrap, topic, records, codec=codec)
            written += records
    expected = sorted((r.key, r.value) for r in written)
    seen = {}
    for client in clients.ALL:
        consumed = client.consume(bootstrap, topic, len(written))
        assert sorted((r.key, r.value) for r in consumed) == expected, client
        check_order(consumed)
        seen[client.name] = by_partition(consumed)
    for other in seen.values():
        assert other == seen["confluent"]
    cluster.wait_everywhere(topic)
    for id in cluster.nodes:
        assert on_disk(cluster.data_directory(id), topic) == seen["confluent"], f"node {id}"


def test_murmur2_clients_agree_on_a_keys_partition(bootstrap, make_topic):
    """Java, kafka-python and aiokafka hash by murmur2; so does our partitioner."""
    topic = make_topic()
    hashing = [c for c in clients.ALL if c.name in ("kafka-python", "aiokafka", "java")]
    for client in hashing:
        records = [Record(str(client).encode(), f"k{i}".encode()) for i in range(20)]
        client.produce(bootstrap, topic, records)
    homes = {}
    for record in clients.ALL[0].consume(bootstrap, topic, 20 * len(hashing)):
        homes.setdefault(record.key, set()).add(record.partition)
    assert all(len(partitions) == 1 for partitions in homes.values()), homes


@ALL
def test_order_of_one_partition_is_the_order_of_sending(client, bootstrap, make_topic):
    topic = make_topic(partitions=1)
    values = [f"{i}".encode() for i in range(500)]
    client.produce(bootstrap, topic, [Record(value) for value in values])
    consumed = client.consume(bootstrap, topic, len(values))
    assert [record.value for record in consumed] == values


@ALL
def test_idempotent_producing_writes_each_record_once(client, cluster, bootstrap, make_topic):
    topic = make_topic(partitions=1)
    values = [f"{i}".encode() for i in range(500)]
    client.produce(bootstrap, topic, [Record(value) for value in values], idempotent=True)
    assert cluster.end_offset(topic) == len(values)
    consumed = client.consume(bootstrap, topic, len(values))
    assert [record.value for record in consumed] == values


@ALL
@pytest.mark.parametrize("acks", [0, 1])
def test_fewer_acks_still_deliver(client, acks, bootstrap, make_topic):
    topic = make_topic(partitions=1)
    values = [f"{acks} {i}".encode() for i in range(20)]
    client.produce(bootstrap, topic, [Record(value) for value in values], acks=acks)
    consumed = client.consume(bootstrap, topic, len(values))
    assert [record.value for record in consumed] == values


@ALL
def test_headers_keep_order_and_repetition(client, bootstrap, make_topic):
    topic = make_topic(partitions=1)
    headers = [("a", b"1"), ("b", b"2"), ("a", b"3")]
    client.produce(bootstrap, topic, [Record(b"v", b"k", headers), Record(b"w", b"k")])
    first, second = client.consume(bootstrap, topic, 2)
    assert first.headers == headers
    assert second.headers == []


@ALL
def test_nulls_stay_null(client, bootstrap, make_topic):
    topic = make_topic(partitions=1)
    records = [Record(b"only value"), Record(None, b"only key"), Record(b"v", b"k")]
    client.produce(bootstrap, topic, records)
    consumed = client.consume(bootstrap, topic, len(records))
    assert [(r.key, r.value) for r in consumed] == [(r.key, r.value) for r in records]


@pytest.mark.parametrize("client", [c for c in clients.ALL if c.timestamps], ids=repr)
def test_the_senders_timestamp_is_kept(client, bootstrap, make_topic):
    topic = make_topic(partitions=1)
    now = int(time.time() * 1000)
    times = [now - 5000, now - 9000, now]
    client.produce(bootstrap, topic, [Record(b"v", timestamp=at) for at in times])
    consumed = client.consume(bootstrap, topic, len(times))
    assert [record.timestamp for record in consumed] == times
    assert not any(record.append_time for record in consumed)


@ALL
def test_log_append_time_is_the_brokers(client, bootstrap, make_topic):
    topic = make_topic(partitions=1, message_timestamp_type="LogAppendTime")
    old = int(time.time() * 1000) - 3_600_000
    at = {"timestamp": old} if client.timestamps else {}
    client.produce(bootstrap, topic, [Record(b"a", **at), Record(b"b", **at)])
    consumed = client.consume(bootstrap, topic, 2)
    assert all(record.append_time for record in consumed)
    assert all(abs(record.timestamp - time.time() * 1000) < 60_000 for record in consumed)


@ALL
def test_a_large_record_arrives_whole(client, bootstrap, make_topic):
    topic = make_topic(partitions=1)
    value = os.urandom(450_000).hex().encode()
    client.produce(bootstrap, topic, [Record(value), Record(b"after")])
    consumed = client.consume(bootstrap, topic, 2)
    assert [record.value for record in consumed] == [value, b"after"]


@ALL
def test_a_record_above_the_topics_limit_is_refused(client, cluster, bootstrap, make_topic):
    topic = make_topic(partitions=1, max_message_bytes=10_000)
    value = os.urandom(10_000).hex().encode()
    with pytest.raises(base.Refused) as refused:
        client.produce(bootstrap, topic, [Record(value)])
    if client.error_codes:
        assert refused.value.code == base.MESSAGE_TOO_LARGE
    client.produce(bootstrap, topic, [Record(b"small")])
    assert cluster.end_offset(topic) == 1


def test_producing_to_an_unknown_topic_creates_it(bootstrap, name, admin):
    """auto.create.topics.enable is on by default, with the cluster's default counts."""
    for client in clients.ALL:
        topic = f"{name}-{client}"
        client.produce(bootstrap, topic, [Record(b"first", b"k")])
        described = admin.describe(bootstrap, topic)
        assert len(described) == 3, client
        assert all(len(replicas) == 3 for _, replicas, _ in described.values()), client
        assert [r.value for r in client.consume(bootstrap, topic, 1)] == [b"first"]
