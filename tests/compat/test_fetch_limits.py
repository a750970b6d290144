"""How much one Fetch gives: the first partition with records passes one whole batch, whatever the
limits. A cut last batch is allowed and not asked for, so whole ones are counted."""

import pytest
from alone import stored
from harness.batch import Batch

NOW = 1_700_000_000_000
SIZE = 10_073
BATCH = Batch([(NOW, b"k", b"v" * 10_000)]).encode()


@pytest.fixture(scope="module")
def topic(alone):
    topic = alone.topic(partitions=2)
    for partition in (0, 1):
        for _ in range(3):
            assert alone.produce(topic, BATCH, partition).errorCode == 0
    return topic


def whole(alone, topic, max_bytes, partition_max_bytes, offsets=((0, 0), (1, 0))):
    """{partition: whole batches}, and the size of all that came."""
    answer = alone.ask(
        "Fetch", 18, maxWaitMs=100, minBytes=1, maxBytes=max_bytes, topics=[{
            "topicId": alone.ids[topic], "partitions": [
                {"partition": p, "fetchOffset": offset, "partitionMaxBytes": partition_max_bytes}
                for p, offset in offsets]}])
    found, size = {}, 0
    for partition in answer.responses[0].partitions:
        assert partition.errorCode == 0
        data = partition.records or b""
        size += len(data)
        found[partition.partitionIndex] = sum(batch.whole for batch in stored(data))
    return found, size


CASES = {
    "a byte of each": (1, 1, ((0, 0), (1, 0)), {0: 1, 1: 0}),
    "two batches and a half": (25_000, 1_000_000, ((0, 0), (1, 0)), {0: 2, 1: 0}),
    "a byte of a partition": (1_000_000, 1, ((0, 0), (1, 0)), {0: 1, 1: 0}),
    "the first at its end": (11_000, 1_000_000, ((0, 3), (1, 0)), {0: 0, 1: 1}),
    "one batch and a half of each": (1_000_000, 15_000, ((0, 0), (1, 0)), {0: 1, 1: 1}),
    "in the order asked": (1, 1, ((1, 0), (0, 0)), {1: 1, 0: 0}),
    "no bytes": (0, 1_000_000, ((0, 0), (1, 0)), {0: 1, 1: 0}),
    "no bytes of a partition": (1_000_000, 0, ((0, 0), (1, 0)), {0: 1, 1: 0}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_first_partition_with_records_passes_one_batch_whatever_the_limits(alone, topic, case):
    max_bytes, of_partition, offsets, expected = CASES[case]
    found, size = whole(alone, topic, max_bytes, of_partition, offsets)
    assert found == expected
    assert size <= max(max_bytes, len(BATCH))
