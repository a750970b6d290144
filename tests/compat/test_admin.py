"""Topics and configs by each administrative client."""

import pytest
from clients import base
from clients.aiokafka_client import AioKafkaAdmin
from clients.base import TIMEOUT, Record, Refused
from clients.confluent import Confluent, ConfluentAdmin
from clients.java import JavaAdmin
from clients.kafka_python import KafkaPythonAdmin
from confluent_kafka import KafkaException
from confluent_kafka.admin import (AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions,
                                   NewTopic, ResourceType)
from harness import wait_until

ADMINS = [ConfluentAdmin(), KafkaPythonAdmin(), AioKafkaAdmin(), JavaAdmin()]
ALL = pytest.mark.parametrize("by", ADMINS, ids=repr)


def check_refused(by, code, act):
    with pytest.raises(Refused) as refused:
        act()
    if by.name != "java":
        assert refused.value.code == code


@ALL
def test_a_topic_lives_from_create_to_delete(by, system, cluster, bootstrap, name):
    by.create(bootstrap, name, 3, 3)
    if system == "ottla":
        # Answered means applied by the live brokers: no waiting here. Kafka promises less.
        for id in cluster.nodes:
            assert set(cluster.metadata([name], of=id).topics[name]) == {0, 1, 2}
    cluster.wait_everywhere(name)
    assert name in by.names(bootstrap)
    described = by.describe(bootstrap, name)
    assert set(described) == {0, 1, 2}
    for leader, replicas, isr in described.values():
        assert set(replicas) == set(isr) == {1, 2, 3}
        assert leader == replicas[0]
    assert {leader for leader, _, _ in described.values()} == {1, 2, 3}, "leaders are spread"

    by.add_partitions(bootstrap, name, 5)
    wait_until(lambda: set(by.describe(bootstrap, name)) == set(range(5)), what="five partitions")

    by.delete(bootstrap, name)
    wait_until(lambda: name not in by.names(bootstrap), what="the topic being gone")


@ALL
def test_wrong_wishes_are_refused(by, cluster, bootstrap, name):
    by.create(bootstrap, name, 2, 3)
    cluster.wait_everywhere(name)
    again = lambda: by.create(bootstrap, name, 2, 3)
    check_refused(by, base.TOPIC_ALREADY_EXISTS, again)
    too_many = lambda: by.create(bootstrap, f"{name}-rf", 1, 4)
    check_refused(by, base.INVALID_REPLICATION_FACTOR, too_many)
    bad_name = lambda: by.create(bootstrap, f"{name}/x", 1, 1)
    check_refused(by, base.INVALID_TOPIC, bad_name)
    no_partition = lambda: by.create(bootstrap, f"{name}-p", 0, 1)
    check_refused(by, base.INVALID_PARTITIONS, no_partition)
    bad_config = lambda: by.create(bootstrap, f"{name}-c", 1, 1, {"retention.ms": "soon"})
    check_refused(by, base.INVALID_CONFIG, bad_config)
    unknown_config = lambda: by.create(bootstrap, f"{name}-u", 1, 1, {"no.such.key": "1"})
    check_refused(by, base.INVALID_CONFIG, unknown_config)
    fewer = lambda: by.add_partitions(bootstrap, name, 1)
    check_refused(by, base.INVALID_PARTITIONS, fewer)
    unknown = lambda: by.delete(bootstrap, f"{name}-nope")
    check_refused(by, base.UNKNOWN_TOPIC_OR_PARTITION, unknown)
    unknown = lambda: by.add_partitions(bootstrap, f"{name}-nope", 3)
    check_refused(by, base.UNKNOWN_TOPIC_OR_PARTITION, unknown)


@ALL
def test_asking_for_an_unknown_topic_is_an_error_and_creates_nothing(by, bootstrap, name):
    if by.name == "aiokafka":
        pytest.skip("its describe_topics asks in a way that creates topics")
    check_refused(by, base.UNKNOWN_TOPIC_OR_PARTITION, lambda: by.describe(bootstrap, name))
    assert name not in by.names(bootstrap)


@ALL
def test_topic_configs_are_set_shown_and_effective(by, cluster, bootstrap, name):
    by.create(bootstrap, name, 1, 3, {"retention.ms": "3600000"})
    cluster.wait_everywhere(name)
    assert by.config(bootstrap, name, "retention.ms") == "3600000"
    assert by.config(bootstrap, name, "cleanup.policy") == "delete"
    by.set_config(bootstrap, name, "max.message.bytes", "5000")
    wait_until(lambda: by.config(bootstrap, name, "max.message.bytes") == "5000",
               what="the config being shown")

    def refused():
        try:
            Confluent().produce(bootstrap, name, [Record(b"x" * 6000)])
        except Refused as error:
            return error.code == base.MESSAGE_TOO_LARGE
        return False

    wait_until(refused, what="the config being effective")


@pytest.mark.parametrize("by", [a for a in ADMINS if a.name == "confluent"], ids=repr)
def test_other_configs_stay_when_one_is_set(by, cluster, bootstrap, name):
    by.create(bootstrap, name, 1, 3, {"retention.ms": "3600000"})
    cluster.wait_everywhere(name)
    by.set_config(bootstrap, name, "max.message.bytes", "5000")
    wait_until(lambda: by.config(bootstrap, name, "max.message.bytes") == "5000",
               what="the config being shown")
    assert by.config(bootstrap, name, "retention.ms") == "3600000"


def test_a_wish_that_is_only_checked_makes_nothing(bootstrap, name, make_topic):
    client = ConfluentAdmin().client(bootstrap)
    new = NewTopic(name, 2, 3)
    client.create_topics([new], validate_only=True)[name].result(TIMEOUT)
    topic = make_topic(partitions=2)
    more = NewPartitions(topic, 6)
    client.create_partitions([more], validate_only=True)[topic].result(TIMEOUT)
    assert len(ConfluentAdmin().describe(bootstrap, topic)) == 2
    assert name not in ConfluentAdmin().names(bootstrap)
    with pytest.raises(KafkaException) as refused:
        client.create_topics([NewTopic(name, 0, 3)], validate_only=True)[name].result(TIMEOUT)
    assert refused.value.args[0].code() == base.INVALID_PARTITIONS


def test_replicas_are_placed_as_told(cluster, bootstrap, name):
    client = ConfluentAdmin().client(bootstrap)
    placed = [[3, 1], [2, 3]]
    client.create_topics([NewTopic(name, 2, replica_assignment=placed)])[name].result(TIMEOUT)
    cluster.wait_everywhere(name)
    described = ConfluentAdmin().describe(bootstrap, name)
    assert [replicas for _, replicas, _ in described.values()] == placed
    more = NewPartitions(name, 3, replica_assignment=[[1, 2]])
    client.create_partitions([more])[name].result(TIMEOUT)
    placed = lambda: ConfluentAdmin().describe(bootstrap, name).get(2, (0, []))[1] == [1, 2]
    wait_until(placed, what="the third partition")
    wrong = NewTopic(f"{name}-w", 1, replica_assignment=[[1, 1]])
    with pytest.raises(KafkaException) as refused:
        client.create_topics([wrong])[f"{name}-w"].result(TIMEOUT)
    assert refused.value.args[0].code() == 39  # INVALID_REPLICA_ASSIGNMENT


def test_a_brokers_configs_are_described_and_changed(bootstrap):
    client = ConfluentAdmin().client(bootstrap)
    broker = lambda **more: ConfigResource(ResourceType.BROKER, "2", **more)

    def shown(key):
        return client.describe_configs([broker()])[broker()].result(TIMEOUT)[key]

    assert shown("node.id").value == "2" and shown("node.id").is_read_only
    default = shown("log.retention.ms").value
    key = "log.segment.bytes"
    for operation, value, expected in [
        (AlterConfigOpType.SET, "2000000", "2000000"),
        (AlterConfigOpType.DELETE, None, str(1 << 30)),
    ]:
        entry = ConfigEntry(key, value, incremental_operation=operation)
        changed = client.incremental_alter_configs([broker(incremental_configs=[entry])])
        changed[broker()].result(TIMEOUT)
        wait_until(lambda: shown(key).value == expected, what=f"{key} being {expected}")
    assert shown("log.retention.ms").value == default
    entry = ConfigEntry("node.id", "9", incremental_operation=AlterConfigOpType.SET)
    with pytest.raises(KafkaException):
        changed = client.incremental_alter_configs([broker(incremental_configs=[entry])])
        changed[broker()].result(TIMEOUT)


@ALL
def test_records_below_an_offset_are_deleted(by, bootstrap, make_topic, tmp_path):
    topic = make_topic(partitions=1)
    Confluent().produce(bootstrap, topic, [Record(b"%d" % i) for i in range(10)])
    more = [tmp_path] if by.name == "java" else []
    assert by.delete_records(bootstrap, topic, 0, 4, *more) == 4
    first, *_ = Confluent().consume(bootstrap, topic, 6)
    assert (first.offset, first.value) == (4, b"4")
    assert by.delete_records(bootstrap, topic, 0, -1, *more) == 10
