"""Which values of configuration keys are taken, and with what code others are refused."""

import pytest

TOPIC, BROKER = 2, 4
INVALID_CONFIG, INVALID_REQUEST = 40, 42
TAKEN = {
    "cleanup.policy": ["", " ", "compact,compact", "delete, compact"],
    "retention.bytes": ["-131073", "-2", "-1", "0"],
    "compression.gzip.level": ["-1", "1", "9"],
    "remote.storage.enable": ["false"],
    "leader.replication.throttled.replicas": ["", ",", "*", "0:1", "0:1, 1:2", "1:1,"],
    "follower.replication.throttled.replicas": ["*", "0:1,1:2"],
    # New in 4.4.
    "errors.deadletterqueue.group.enable": ["true"],
    "remote.copy.lag.ms": ["-1", "0"],
    "remote.copy.lag.bytes": ["-1", "0"],
}
REFUSED = {
    "cleanup.policy": ["delete,", ",compact", ",", "none"],
    "retention.bytes": ["", "x"],
    "compression.gzip.level": ["0", "10"],
    "remote.storage.enable": ["true", "TRUE", "yes"],
    "leader.replication.throttled.replicas": ["0:1,*", "*,*", "1", "0:a", "-1:1", "0:1:2", "none"],
    "follower.replication.throttled.replicas": ["none", "0:1,*"],
    "remote.copy.lag.ms": ["-2"],
}


def pairs(values):
    return [(key, value) for key, all in values.items() for value in all]


def created(alone, name, key, value):
    answer = alone.ask("CreateTopics", 7, validateOnly=True, timeoutMs=30000, topics=[{
        "name": name, "numPartitions": 1, "replicationFactor": 1, "assignments": [],
        "configs": [{"name": key, "value": value}]}])
    return answer.topics[0].errorCode


def altered(alone, kind, name, key, value):
    answer = alone.ask("IncrementalAlterConfigs", 1, validateOnly=True, resources=[{
        "resourceType": kind, "resourceName": name,
        "configs": [{"name": key, "configOperation": 0, "value": value}]}])
    return answer.responses[0].errorCode


@pytest.fixture(scope="module")
def topic(alone):
    return alone.topic()


@pytest.mark.parametrize("key, value", pairs(TAKEN))
def test_a_topics_value_is_taken(alone, topic, name, key, value):
    assert created(alone, name, key, value) == 0
    assert altered(alone, TOPIC, topic, key, value) == 0


@pytest.mark.parametrize("key, value", pairs(REFUSED))
def test_a_topics_value_is_refused(alone, topic, name, key, value):
    assert created(alone, name, key, value) == INVALID_CONFIG
    assert altered(alone, TOPIC, topic, key, value) == INVALID_CONFIG


@pytest.mark.parametrize("broker", ["", "1"])
def test_a_brokers_value_is_refused_as_an_invalid_request(alone, broker):
    for key, value in [("log.retention.ms", "0"), ("log.segment.bytes", "1"),
                       ("log.cleanup.policy", "delete,"), ("compression.gzip.level", "0"),
                       ("log.cleanup.policy", "compact,compact")]:
        assert altered(alone, BROKER, broker, key, value) == INVALID_REQUEST, key
    for key, value in [("log.retention.ms", "-2"), ("log.retention.bytes", "-3")]:
        assert altered(alone, BROKER, broker, key, value) == 0, key
