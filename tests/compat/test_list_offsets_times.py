"""ListOffsets by time where timestamps are out of order: the first batch whose newest reaches the
time, and in it the first record that does. How the batches are packed changes nothing."""

import pytest
from harness.batch import Batch

BATCHES = [[1000, 5000, 3000], [2000], [4000, 4000]]
SPLITS = {
    "three batches": (BATCHES, 0),
    "three zstd batches": (BATCHES, 4),
    "three gzip batches": (BATCHES, 1),
    "one zstd batch": ([sum(BATCHES, [])], 4),
    "one batch": ([sum(BATCHES, [])], 0),
}
# time: (offset, timestamp)
ANSWERS = {0: (0, 1000), 1000: (0, 1000), 2500: (1, 5000), 3500: (1, 5000), 4500: (1, 5000),
           5000: (1, 5000), 5001: (-1, -1), -3: (1, 5000), -1: (6, -1), -2: (0, -1)}


@pytest.mark.parametrize("split", SPLITS)
def test_a_time_finds_the_first_record_that_reaches_it(alone, split):
    batches, codec = SPLITS[split]
    topic = alone.topic()
    for times in batches:
        data = Batch([(time, b"k", b"v") for time in times], codec=codec).encode()
        assert alone.produce(topic, data).errorCode == 0
    found = {time: alone.offset_at(topic, time) for time in ANSWERS}
    assert {time: (a.offset, a.timestamp) for time, a in found.items()} == ANSWERS
    assert {a.errorCode for a in found.values()} == {0}
    epochs = {time: answer.leaderEpoch for time, answer in found.items()}
    assert epochs == {time: -1 if time == 5001 else 0 for time in ANSWERS}
