"""Which values lie beneath a topic's value, and what DescribeConfigs says of each.

The node's file has log.retention.hours=24 and log.roll.hours=12. Kafka follows them, but names
them only where the key in milliseconds is set dynamically.
"""

import contextlib

import pytest
from harness import wait_until

TOPIC, BROKER = 2, 4
DYNAMIC_TOPIC, DYNAMIC_BROKER, DYNAMIC_DEFAULT, STATIC, DEFAULT = 1, 2, 3, 4, 5
SET, DELETE = 0, 1
DAY, HALF_A_DAY = "86400000", "43200000"


def alter(alone, kind, name, key, value=None):
    answer = alone.ask("IncrementalAlterConfigs", 1, resources=[{
        "resourceType": kind, "resourceName": name, "configs": [{
            "name": key, "configOperation": DELETE if value is None else SET, "value": value}]}])
    assert answer.responses[0].errorCode == 0, answer.responses[0].errorMessage


def described(alone, kind, name, key):
    """(value, source, [(key, value, source) of each synonym])"""
    answer = alone.ask("DescribeConfigs", 4, includeSynonyms=True, resources=[
        {"resourceType": kind, "resourceName": name, "configurationKeys": [key]}])
    assert answer.results[0].errorCode == 0, answer.results[0].errorMessage
    one = answer.results[0].configs[0]
    return one.value, one.configSource, [(s.name, s.value, s.source) for s in one.synonyms]


def becomes(alone, kind, name, key, expected):
    """Dynamic values reach the answers a moment after they are acknowledged."""
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: described(alone, kind, name, key) == expected, 5.0)
    assert described(alone, kind, name, key) == expected


@pytest.fixture
def dynamic(alone):
    """Sets broker keys for the time of the test: (broker name, key, value)."""
    done = []

    def set(name, key, value):
        alter(alone, BROKER, name, key, value)
        done.append((name, key))

    yield set
    for name, key in done:
        alter(alone, BROKER, name, key)


@pytest.fixture
def retention(dynamic):
    dynamic("", "log.retention.ms", "1000000")
    dynamic("1", "log.retention.ms", "2000000")


LAYERS = [
    ("log.retention.ms", "2000000", DYNAMIC_BROKER),
    ("log.retention.ms", "1000000", DYNAMIC_DEFAULT),
    ("log.retention.hours", "24", STATIC),
    ("log.retention.hours", "168", DEFAULT),
]


def test_a_topics_retention_names_all_layers_beneath_it(alone, retention):
    topic = alone.topic(retention_ms=3000000)
    own = ("retention.ms", "3000000", DYNAMIC_TOPIC)
    becomes(alone, TOPIC, topic, "retention.ms", ("3000000", DYNAMIC_TOPIC, [own, *LAYERS]))


def test_without_a_value_of_its_own_a_topic_has_the_brokers(alone, retention):
    topic = alone.topic()
    alter(alone, TOPIC, topic, "retention.ms")
    becomes(alone, TOPIC, topic, "retention.ms", ("2000000", DYNAMIC_BROKER, LAYERS))


def test_a_brokers_retention_names_the_layers_beneath_it(alone, retention):
    becomes(alone, BROKER, "1", "log.retention.ms", ("2000000", DYNAMIC_BROKER, LAYERS))


def test_static_hours_rule_a_topic_and_are_not_named(alone):
    topic = alone.topic()
    alter(alone, TOPIC, topic, "retention.ms")
    becomes(alone, TOPIC, topic, "retention.ms", (DAY, DEFAULT, []))
    becomes(alone, TOPIC, topic, "segment.ms", (HALF_A_DAY, DEFAULT, []))


@pytest.mark.parametrize("key, value", [
    ("retention.ms", "3000000"), ("segment.ms", "600000"), ("segment.jitter.ms", "7"),
    ("flush.ms", "9000")])
def test_a_topics_own_value_over_static_hours_names_only_itself(alone, key, value):
    topic = alone.topic(**{key.replace(".", "_"): value})
    becomes(alone, TOPIC, topic, key, (value, DYNAMIC_TOPIC, [(key, value, DYNAMIC_TOPIC)]))


@pytest.mark.parametrize("key", ["flush.ms", "segment.jitter.ms"])
def test_keys_without_a_value_anywhere_have_no_synonyms(alone, key):
    _, source, synonyms = described(alone, TOPIC, alone.topic(), key)
    assert (source, synonyms) == (DEFAULT, [])


def test_static_hours_are_a_brokers_own_until_milliseconds_are_set(alone):
    hours = [("log.retention.hours", "24", STATIC), ("log.retention.hours", "168", DEFAULT)]
    becomes(alone, BROKER, "1", "log.retention.hours", ("24", STATIC, hours))


def test_hours_read_as_their_default_while_milliseconds_are_set(alone, retention):
    hours = [("log.retention.hours", "24", STATIC), ("log.retention.hours", "168", DEFAULT)]
    becomes(alone, BROKER, "1", "log.retention.hours", ("168", STATIC, hours))


def test_dynamic_roll_milliseconds_bring_the_static_hours_to_light(alone, dynamic):
    dynamic("", "log.roll.ms", "1000000")
    becomes(alone, TOPIC, alone.topic(), "segment.ms", ("1000000", DYNAMIC_DEFAULT, [
        ("log.roll.ms", "1000000", DYNAMIC_DEFAULT),
        ("log.roll.hours", "12", STATIC),
        ("log.roll.hours", "168", DEFAULT),
    ]))
