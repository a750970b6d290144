"""Sequence numbers of idempotent producers by the letter, retries over DeleteRecords and restarts
included."""

import struct
import time

import pytest
from alone import WAIT, stored
from harness import wait_until
from harness.batch import Batch

NOW = int(time.time() * 1000)
OUT_OF_ORDER, INVALID_EPOCH = 45, 47


def batch(sequence, epoch=0, producer=77, timestamps=(NOW,), codec=0):
    records = [(timestamp, b"k", b"v") for timestamp in timestamps]
    return Batch(records, codec=codec, producer_id=producer, producer_epoch=epoch,
                 base_sequence=sequence).encode()


def new_producer(alone):
    def given():
        answer = alone.ask("InitProducerId", 5, transactionalId=None, transactionTimeoutMs=60000)
        return answer if answer.errorCode == 0 else None  # the first ids are being fetched

    answer = wait_until(given, WAIT, "a producer id")
    assert answer.producerEpoch == 0
    return answer.producerId


# (epoch, sequence): (error, base offset)
STEPS = [
    ((0, 5), (0, 0)),  # an unknown producer begins where it likes
    ((0, 6), (0, 1)),
    ((0, 8), (OUT_OF_ORDER, -1)),
    ((0, 5), (0, 0)),  # sent again
    ((1, 3), (OUT_OF_ORDER, -1)),  # a new epoch begins at 0
    ((1, 0), (0, 2)),
    ((0, 7), (INVALID_EPOCH, -1)),
    *[((1, sequence), (0, sequence + 2)) for sequence in range(1, 7)],
    ((1, 0), (OUT_OF_ORDER, -1)),  # older than the five batches that are remembered
    ((1, 6), (0, 8)),
    ((32767, 0), (0, 9)),
]


def test_sequences_are_taken_or_refused_by_the_letter(alone):
    topic = alone.topic()
    for step, ((epoch, sequence), expected) in enumerate(STEPS, 1):
        answer = alone.produce(topic, batch(sequence, epoch))
        assert (answer.errorCode, answer.baseOffset) == expected, f"step {step}"


def delete_to(alone, topic, offset):
    moved = alone.ask("DeleteRecords", 2, timeoutMs=30000, topics=[
        {"name": topic, "partitions": [{"partitionIndex": 0, "offset": offset}]}])
    assert moved.topics[0].partitions[0].lowWatermark == offset


@pytest.mark.parametrize("epoch, sequence, error", [
    (1, 4, OUT_OF_ORDER), (2, 1, OUT_OF_ORDER), (0, 1, INVALID_EPOCH)])
@pytest.mark.parametrize("start", [0, 1])
def test_a_refused_sequence_tells_the_log_start_offset(alone, start, epoch, sequence, error):
    topic = alone.topic()
    for number in (0, 1):
        assert alone.produce(topic, batch(number, 1)).errorCode == 0
    delete_to(alone, topic, start)
    answer = alone.produce(topic, batch(sequence, epoch))
    assert (answer.errorCode, answer.baseOffset, answer.logAppendTimeMs, answer.logStartOffset) \
        == (error, -1, -1, start)


@pytest.mark.parametrize("codec", [0, 1, 4])
def test_a_duplicate_tells_its_batchs_largest_timestamp(alone, codec):
    topic = alone.topic()
    again = batch(0, timestamps=(1000, 3000, 2000), codec=codec)
    first = alone.produce(topic, again)
    assert (first.errorCode, first.baseOffset, first.logAppendTimeMs) == (0, 0, -1)
    second = alone.produce(topic, again)
    assert (second.errorCode, second.baseOffset, second.logAppendTimeMs) == (0, 0, 3000)


def told(answer):
    return answer.errorCode, answer.baseOffset, answer.logStartOffset


def test_a_producer_is_remembered_over_deleted_records_and_restarts(alone):
    topic = alone.topic()
    producer = new_producer(alone)
    send = lambda sequence: told(alone.produce(topic, batch(sequence, producer=producer)))
    for sequence in range(3):
        assert send(sequence) == (0, sequence, 0)
    delete_to(alone, topic, 3)
    assert send(2) == (0, 2, 3)
    assert send(0) == (0, 0, 3)
    assert send(3) == (0, 3, 3)
    alone.restart_orderly()
    alone.wait_led(topic)
    assert send(3) == (0, 3, 3)
    assert send(4) == (0, 4, 3)
    alone.restart(1)
    alone.wait_led(topic)
    assert send(5) == (0, 5, 3)


def test_an_older_batch_sent_again_after_a_restart_is_not_appended(alone):
    """Kafka keeps a producer's last batch on disk and calls what is older out of order; who keeps
    more may tell where it is."""
    topic = alone.topic()
    send = lambda sequence: told(alone.produce(topic, batch(sequence)))
    for sequence in range(3):
        assert send(sequence) == (0, sequence, 0)
    assert send(1) == (0, 1, 0)
    alone.restart_orderly()
    alone.wait_led(topic)
    assert send(2) == (0, 2, 0)
    assert send(1) in [(OUT_OF_ORDER, -1, 0), (0, 1, 0)]
    assert alone.end_offset(topic) == 3


def records_section(data):
    return data[61 : 12 + struct.unpack(">i", data[8:12])[0]]


def test_append_time_is_written_into_the_header_of_a_packed_batch(alone):
    topic = alone.topic(message_timestamp_type="LogAppendTime")
    data = batch(0, producer=new_producer(alone), timestamps=(1000, 5000, 3000), codec=4)
    first = alone.produce(topic, data)
    now = first.logAppendTimeMs
    assert (first.errorCode, first.baseOffset) == (0, 0) and now > NOW
    again = alone.produce(topic, data)
    assert (again.errorCode, again.baseOffset, again.logAppendTimeMs) == (0, 0, now)
    [one] = stored(alone.fetch(topic).records)
    assert (one.attributes, one.base_timestamp, one.max_timestamp) == (12, 1000, now)
    assert one.records == records_section(data), "as it was sent, byte for byte"
    at = lambda timestamp: [(a.offset, a.timestamp) for a in [alone.offset_at(topic, timestamp)]][0]
    assert [at(-3), at(now), at(now + 1), at(1000)] == [(0, now), (0, now), (-1, -1), (0, now)]
