"""A fetch does not wait for more than it may get."""

import time

import pytest
from harness.batch import Batch

NOW = 1_700_000_000_000
BATCH = Batch([(NOW, b"k", b"v" * 10_000)]).encode()
WAIT_MS = 5_000


def fetch(alone, topic, partition=0, offset=0, **limits):
    """(bytes that came, seconds)"""
    began = time.monotonic()
    answer = alone.ask("Fetch", 18, maxWaitMs=WAIT_MS, topics=[{
        "topicId": alone.ids[topic], "partitions": [{
            "partition": partition, "fetchOffset": offset,
            "partitionMaxBytes": limits.pop("partitionMaxBytes", 1 << 20)}]}], **limits)
    [one] = answer.responses[0].partitions
    assert one.errorCode == 0
    return len(one.records or b""), time.monotonic() - began


@pytest.fixture(scope="module")
def topic(alone):
    topic = alone.topic()
    for _ in range(3):
        assert alone.produce(topic, BATCH).errorCode == 0
    return topic


@pytest.mark.parametrize("limits", [
    {"minBytes": 1 << 20, "maxBytes": 25_000},
    {"minBytes": 25_000, "maxBytes": 25_000},
    {"minBytes": 15_000, "partitionMaxBytes": 15_000},
    {"minBytes": 1 << 20, "maxBytes": 0},
], ids=str)
def test_a_response_that_is_full_does_not_wait_for_its_minimum(alone, topic, limits):
    size, seconds = fetch(alone, topic, **limits)
    assert size >= len(BATCH) and seconds < 2.5


def test_a_partition_that_has_too_little_is_waited_for(alone, topic):
    size, seconds = fetch(alone, topic, minBytes=1 << 20)
    assert size == 3 * len(BATCH) and seconds > 4.5


def test_the_end_of_an_old_segment_is_not_waited_at(alone):
    """A read ends with its segment: no more is coming to it."""
    topic = alone.topic(segment_bytes=1 << 20)
    count = 2 * (1 << 20) // len(BATCH)
    for _ in range(count):
        assert alone.produce(topic, BATCH).errorCode == 0
    last_of_first = (1 << 20) // len(BATCH) - 1
    size, seconds = fetch(alone, topic, offset=last_of_first, minBytes=500_000)
    assert size == len(BATCH) and seconds < 2.5
