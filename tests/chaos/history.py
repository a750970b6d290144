"""What a load did and what was read back of it, and the judgement of the two.

A value names itself: `partition:counter:` and filler that follows from the two, so that each record
that is read tells which send it comes from, and whether its bytes are those that were sent.

Judged, per partition:
- lost: acknowledged and not there, or there at another offset than the acknowledgement said;
- doubled: there more than once;
- reordered: behind a record that was sent after it;
- foreign: bytes that no send explains, or a record whose send was refused for certain;
- holes: offsets that are not one after the other.
A send without an answer may be there or not.
"""

import random
from dataclasses import dataclass, field

_FILLER = random.Random(0).randbytes(1 << 20).translate(bytes(32 + i % 95 for i in range(256)))
_SHOWN = 5
# Shorter times between two acknowledgements are the client's own batching.
PAUSE_MIN = 0.02


def value(partition, counter, size):
    """The record `counter` of a partition; counters start at 0 and grow by 1."""
    head = b"%d:%d:" % (partition, counter)
    at = (counter * 7919 + partition * 104729) % (len(_FILLER) - size)
    return head + _FILLER[at : at + size - len(head)]


def name_of(data):
    """(partition, counter) of a value; None if it is none of ours."""
    pieces = data[:40].split(b":", 2)
    if len(pieces) != 3 or not pieces[0].isdigit() or not pieces[1].isdigit():
        return None
    return int(pieces[0]), int(pieces[1])


@dataclass
class PartitionHistory:
    """What became of the sends to one partition, in the order they were made."""

    sent: int = 0
    acknowledged: dict = field(default_factory=dict)  # counter -> offset
    unknown: set = field(default_factory=set)  # counters without a clear answer
    refused: set = field(default_factory=set)  # counters that were certainly not appended
    pauses: list = field(default_factory=list)  # (from, to) without an acknowledgement
    last_acknowledged_at: float = None

    def acknowledge(self, counter, offset, now):
        self.acknowledged[counter] = offset
        last = self.last_acknowledged_at
        if last is not None and now - last > PAUSE_MIN:
            self.pauses.append((last, now))
        self.last_acknowledged_at = now

    @property
    def stall(self):
        """The longest time between two acknowledgements, in seconds."""
        return max((end - start for start, end in self.pauses), default=0.0)

    def stall_between(self, start, end):
        """The longest of the pauses that touch a stretch of time."""
        touching = (to - at for at, to in self.pauses if at < end and to > start)
        return max(touching, default=0.0)


@dataclass
class Verdict:
    acknowledged: int = 0
    read: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    foreign: int = 0
    holes: int = 0
    unknown: int = 0
    examples: list = field(default_factory=list)  # sentences

    @property
    def faults(self):
        return self.lost + self.doubled + self.reordered + self.foreign + self.holes

    def _say(self, sentence):
        if len(self.examples) < _SHOWN * 5:
            self.examples.append(sentence)


def judge(history, read, size):
    """`history`: partition -> PartitionHistory; `read`: partition -> [(offset, value)] as read."""
    verdict = Verdict()
    for partition, sends in history.items():
        _judge_partition(verdict, partition, sends, read.get(partition, []), size)
    return verdict


def _judge_partition(verdict, partition, sends, read, size):
    offsets = {}  # counter -> first offset
    highest = -1
    expected_offset = 0
    for offset, data in read:
        if offset != expected_offset:
            verdict.holes += 1
            verdict._say(f"{partition}: offset {offset} where {expected_offset} should be")
        expected_offset = offset + 1
        name = name_of(data)
        if name is None or name[0] != partition or name[1] >= sends.sent:
            verdict.foreign += 1
            verdict._say(f"{partition}@{offset}: {data[:30]!r} was never sent")
            continue
        counter = name[1]
        if data != value(partition, counter, size) or counter in sends.refused:
            verdict.foreign += 1
            verdict._say(f"{partition}@{offset}: record {counter} is changed, or was refused")
        if counter in offsets:
            verdict.doubled += 1
            verdict._say(f"{partition}: record {counter} at {offsets[counter]} and at {offset}")
        else:
            offsets[counter] = offset
            if counter < highest:
                verdict.reordered += 1
                verdict._say(f"{partition}@{offset}: record {counter} behind {highest}")
        highest = max(highest, counter)
    for counter, offset in sends.acknowledged.items():
        # An idempotent producer's client may not learn the offset of a duplicate (-1).
        if counter not in offsets or (offset >= 0 and offsets[counter] != offset):
            verdict.lost += 1
            verdict._say(f"{partition}: record {counter} was acknowledged at {offset}, "
                         f"and is at {offsets.get(counter)}")
    verdict.acknowledged += len(sends.acknowledged)
    verdict.unknown += len(sends.unknown)
    verdict.read += len(read)
