"""Records that name themselves: `producer:partition:counter:` and filler that follows from the name,
so that each record that is read tells which send it comes from, and whether its bytes are those that
were sent."""

import random

_FILLER = random.Random(0).randbytes(1 << 20).translate(bytes(32 + i % 95 for i in range(256)))
SIZE_MIN = 40


def value(producer, partition, counter, size):
    """Counters start at 0 for each producer and partition, and grow by 1."""
    head = b"%d:%d:%d:" % (producer, partition, counter)
    at = (counter * 7919 + partition * 104729 + producer * 15485863) % (len(_FILLER) - size)
    return head + _FILLER[at : at + size - len(head)]


def name_of(data, partition):
    """(producer, counter) of a record read from a partition, or a sentence about what it is."""
    pieces = data[:SIZE_MIN].split(b":", 3)
    if len(pieces) != 4 or not all(piece.isdigit() for piece in pieces[:3]):
        return f"no record of this load: {data[:30]!r}"
    producer, home, counter = map(int, pieces[:3])
    if home != partition:
        return f"record {producer}/{counter} of partition {home}"
    if data != value(producer, partition, counter, len(data)):
        return f"the bytes of record {producer}/{counter} are changed"
    return producer, counter


def contents(records, partition):
    """Of (offset, value) pairs: those that name themselves as (offset, producer, counter), and those
    that do not as (offset, reason)."""
    named, damaged = [], []
    for offset, data in records:
        name = name_of(data, partition)
        if isinstance(name, str):
            damaged.append((offset, name))
        else:
            named.append((offset, *name))
    return named, damaged
