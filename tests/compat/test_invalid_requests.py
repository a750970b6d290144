"""Requests that contradict themselves, or ask for what is not there."""

import uuid

import pytest

TOPIC, BROKER = 2, 4
INVALID_CONFIG, INVALID_REQUEST = 40, 42
SET, DELETE, APPEND, SUBTRACT = range(4)
NO_ID = uuid.UUID(int=0)


@pytest.fixture(scope="module")
def topic(alone):
    return alone.topic()


def altered(alone, kind, name, *changes):
    """The code of an alteration that is only checked; changes are (key, operation, value)."""
    answer = alone.ask("IncrementalAlterConfigs", 1, validateOnly=True, resources=[{
        "resourceType": kind, "resourceName": name, "configs": [
            {"name": key, "configOperation": operation, "value": value}
            for key, operation, value in changes]}])
    return answer.responses[0].errorCode


def test_a_key_that_is_not_known_can_be_deleted_and_not_set(alone, topic):
    """Who resets all keys, as MirrorMaker does, may be newer than the cluster."""
    assert altered(alone, TOPIC, topic, ("of.tomorrow", DELETE, None)) == 0
    assert altered(alone, TOPIC, topic, ("of.tomorrow", SET, "1")) == INVALID_CONFIG
    assert altered(alone, BROKER, "", ("of.tomorrow", DELETE, None)) == 0


@pytest.mark.parametrize("operation", [SET, APPEND, SUBTRACT])
def test_null_is_no_value(alone, topic, operation):
    assert altered(alone, TOPIC, topic, ("cleanup.policy", operation, None)) == INVALID_REQUEST
    assert altered(alone, TOPIC, topic, ("cleanup.policy", DELETE, None)) == 0


def test_null_is_no_value_in_the_old_alteration_either(alone, topic):
    answer = alone.ask("AlterConfigs", 2, validateOnly=True, resources=[{
        "resourceType": TOPIC, "resourceName": topic,
        "configs": [{"name": "retention.ms", "value": None}]}])
    assert answer.responses[0].errorCode == INVALID_REQUEST


def test_an_empty_list_of_keys_asks_for_all(alone, topic):
    described = lambda keys: [c.name for c in alone.ask("DescribeConfigs", 4, resources=[{
        "resourceType": TOPIC, "resourceName": topic, "configurationKeys": keys,
    }]).results[0].configs]
    assert sorted(described([])) == sorted(described(None)) != []
    assert described(["retention.ms"]) == ["retention.ms"]


def test_a_topic_that_is_named_by_name_and_by_id_is_not_deleted(alone):
    topic = alone.topic()
    deleted = lambda name, id: alone.ask("DeleteTopics", 6, timeoutMs=30000, topics=[
        {"name": name, "topicId": id}]).responses[0].errorCode
    assert deleted(topic, alone.ids[topic]) == INVALID_REQUEST
    assert deleted(None, NO_ID) == INVALID_REQUEST
    assert alone.ask("Metadata", 13, topics=[
        {"name": topic, "topicId": NO_ID}], allowAutoTopicCreation=False).topics[0].errorCode == 0
    assert deleted(None, alone.ids[topic]) == 0


@pytest.mark.parametrize("producer, epoch", [(5, -1), (-1, 5)])
def test_half_a_producer_is_an_invalid_request(alone, producer, epoch):
    answer = alone.ask("InitProducerId", 5, transactionalId=None, transactionTimeoutMs=60000,
                       producerId=producer, producerEpoch=epoch)
    assert (answer.errorCode, answer.producerId) == (INVALID_REQUEST, -1)
