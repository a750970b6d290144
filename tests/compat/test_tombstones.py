"""When a tombstone goes: the first cleaning gives it a horizon, the first one behind that removes
it, and nothing is left of it."""

import time

from alone import WAIT, stored
from harness import wait_until
from harness.batch import Batch

SECOND = 1000


class Log:
    def __init__(self, alone):
        self.alone = alone
        self.topic = alone.topic(
            cleanup_policy="compact", segment_ms=SECOND, min_cleanable_dirty_ratio=0.01,
            delete_retention_ms=3000)
        self.now = int(time.time() * 1000) - 60_000

    def append(self, key, value, roll=False):
        """With `roll`, so much later by its timestamp that it begins a segment."""
        self.now += 2 * SECOND if roll else 0
        answer = self.alone.produce(self.topic, Batch([(self.now, key, value)]).encode())
        assert answer.errorCode == 0, answer

    def batches(self):
        """Of all segments: one Fetch gives those of one."""
        found, offset = [], 0
        while piece := stored(self.alone.fetch(self.topic, offset).records):
            found += piece
            offset = piece[-1].last_offset + 1
        return found

    def becomes(self, offsets):
        reached = lambda: [batch.base_offset for batch in self.batches()] == offsets
        try:
            wait_until(reached, WAIT, "compaction", pause=0.2)
        except TimeoutError:
            assert [(b.base_offset, b.count) for b in self.batches()] == [(o, 1) for o in offsets]
        assert [batch.count for batch in self.batches()] == [1] * len(offsets), "none is empty"

    def horizons(self):
        return [batch.delete_horizon for batch in self.batches()]


def test_a_tombstone_goes_with_the_first_cleaning_behind_its_horizon(alone):
    log = Log(alone)
    for key, value in [(b"a", b"1"), (b"b", b"1"), (b"a", None), (b"b", b"2")]:
        log.append(key, value)
    log.append(b"c", b"1", roll=True)
    log.becomes([2, 3, 4])
    horizon = log.horizons()[0]
    assert log.horizons() == [horizon, None, None]
    now = time.time() * 1000
    assert now - WAIT * 1000 < horizon <= now + 3000
    wait_until(lambda: time.time() * 1000 > horizon, WAIT, "the horizon being over")
    log.append(b"c", b"2", roll=True)
    log.becomes([3, 4, 5])
    assert log.horizons() == [None] * 3
    log.append(b"c", b"3", roll=True)
    log.becomes([3, 5, 6])
    assert log.horizons() == [None] * 3
    checkpoint = alone.data_directory(1) / "cleaner-offset-checkpoint"
    # Ottla's last line has white space at its end.
    lines = lambda: [line.split() for line in checkpoint.read_text().splitlines()]
    wait_until(lambda: [log.topic, "0", "6"] in lines(), WAIT, "the checkpoint telling what is clean")
