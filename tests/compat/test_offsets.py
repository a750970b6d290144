"""Offsets by place and by time."""

import subprocess
import time

import kafka
import pytest
from clients.base import Record
from clients.confluent import Confluent, ConfluentAdmin
from clients.java import TOOLS, run
from confluent_kafka.admin import OffsetSpec

NOW = int(time.time() * 1000)
# The largest is not the last.
TIMES = [NOW - 5000, NOW - 4000, NOW - 1000, NOW - 3000, NOW - 2000]


@pytest.fixture
def topic(bootstrap, make_topic):
    topic = make_topic(partitions=1)
    for at in TIMES:
        Confluent().produce(bootstrap, topic, [Record(b"v", timestamp=at)])
    return topic


def confluent(bootstrap, topic, when):
    spec = {"earliest": OffsetSpec.earliest, "latest": OffsetSpec.latest,
            "max-timestamp": OffsetSpec.max_timestamp}.get(when)
    spec = spec() if spec else OffsetSpec.for_timestamp(when)
    return ConfluentAdmin().offset(bootstrap, topic, 0, spec)


def kafka_python(bootstrap, topic, when):
    consumer = kafka.KafkaConsumer(bootstrap_servers=bootstrap.split(","))
    at = kafka.TopicPartition(topic, 0)
    try:
        if when == "earliest":
            return consumer.beginning_offsets([at])[at]
        if when == "latest":
            return consumer.end_offsets([at])[at]
        found = consumer.offsets_for_times({at: when})[at]
        return -1 if found is None else found.offset
    finally:
        consumer.close()


def kcat(bootstrap, topic, when):
    when = {"earliest": -2, "latest": -1}.get(when, when)
    out = subprocess.run(["kcat", "-Q", "-b", bootstrap, "-t", f"{topic}:0:{when}"],
                         capture_output=True, check=True, timeout=60).stdout.decode()
    # "topic [0] offset 3"; the end stands for "none"
    return int(out.split()[-1])


def java(bootstrap, topic, when):
    out = run(f"{TOOLS}.GetOffsetShell", "--bootstrap-server", bootstrap, "--topic", topic,
              "--time", str(when)).strip()
    # Nothing is printed where no record is late enough.
    return int(out.rsplit(":", 1)[1]) if out else -1


WAYS = [confluent, kafka_python, kcat, java]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_offsets_by_place_and_time(way, bootstrap, topic):
    assert way(bootstrap, topic, "earliest") == 0
    assert way(bootstrap, topic, "latest") == len(TIMES)
    assert way(bootstrap, topic, TIMES[0] - 1) == 0
    assert way(bootstrap, topic, TIMES[1]) == 1
    # The first record at or after the time, in offset order.
    assert way(bootstrap, topic, NOW - 3500) == 2
    assert way(bootstrap, topic, TIMES[2]) == 2
    beyond = way(bootstrap, topic, NOW + 100_000)
    assert beyond == -1 or (way is kcat and beyond == len(TIMES))


@pytest.mark.parametrize("way", [confluent, java], ids=lambda way: way.__name__)
def test_the_record_with_the_largest_timestamp_is_found(way, bootstrap, topic):
    assert way(bootstrap, topic, "max-timestamp") == 2


def test_an_empty_partition_has_no_largest_timestamp(bootstrap, make_topic):
    assert confluent(bootstrap, make_topic(partitions=1), "max-timestamp") == -1
