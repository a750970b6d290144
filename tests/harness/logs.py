"""An independent reader of the nodes' .log files, to compare replicas.

It knows the layout of a record batch's header and nothing else of the system, and it reads the
files as they are on disk, without a client: what a broker would answer is not asked.

    base offset i64 | length i32 | leader epoch i32 | magic i8 | crc u32 | attributes i16 |
    last offset delta i32 | ... (61 bytes, big-endian; `length` counts from the leader epoch on)
"""

import mmap
import struct
from dataclasses import dataclass, field
from pathlib import Path

_HEADER = struct.Struct(">qiibIhi")
_HEADER_BYTES = 61
_BEFORE_LENGTH_ENDS = 12


class Damaged(Exception):
    """A file that holds something else than batches, one behind the other."""


@dataclass
class Batch:
    base_offset: int
    end_offset: int  # exclusive
    leader_epoch: int
    data: memoryview  # header and payload


@dataclass
class Comparison:
    start: int = 0
    end: int = 0
    batches: int = 0
    bytes: int = 0
    segments: list = field(default_factory=list)  # per replica
    leader_epochs: set = field(default_factory=set)
    differences: list = field(default_factory=list)  # sentences


class ReplicaLog:
    """The batches of one partition directory, in order, across its segments.

    A torn batch at the very end is not a batch: a node may be writing it, or have been killed while
    it did. Anything else that does not fit raises `Damaged`."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.segments = sorted(self.directory.glob("*.log"))
        if not self.segments:
            raise Damaged(f"{directory} holds no segment")

    @property
    def start_offset(self):
        """The first offset that may be there: what retention and DeleteRecords left."""
        first = int(self.segments[0].stem)
        checkpoint = self.directory.parent / "log-start-offset-checkpoint"
        return max(first, read_checkpoint(checkpoint).get(self.directory.name, 0))

    def batches(self):
        expected = int(self.segments[0].stem)
        for position, path in enumerate(self.segments):
            if int(path.stem) < expected:
                raise Damaged(f"{path} begins below {expected}, the end of the one before")
            last = position == len(self.segments) - 1
            for batch in self._in_file(path, last):
                if batch.base_offset < expected:
                    raise Damaged(f"{path}: offset {batch.base_offset} after {expected}")
                expected = batch.end_offset
                yield batch

    @staticmethod
    def _in_file(path, last):
        size = path.stat().st_size
        if size == 0:
            return
        with open(path, "rb") as file:
            view = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
        at = 0
        while at < size:
            if size - at < _HEADER_BYTES:
                break
            base, length, epoch, magic, _crc, _attributes, delta = _HEADER.unpack_from(view, at)
            whole = _BEFORE_LENGTH_ENDS + length
            if last and magic == 0 and length == 0:
                return  # preallocated and not yet written
            if magic != 2 or whole < _HEADER_BYTES or delta < 0:
                raise Damaged(f"{path} at byte {at}: no record batch")
            if at + whole > size:
                break
            yield Batch(base, base + delta + 1, epoch, view[at : at + whole])
            at += whole
        if at < size and not last:
            raise Damaged(f"{path} ends in the middle of a batch at byte {at}")


def read_checkpoint(path):
    """topic-partition -> offset of a checkpoint file; empty if there is none."""
    try:
        lines = Path(path).read_text().splitlines()
    except FileNotFoundError:
        return {}
    offsets = {}
    for line in lines[2:]:
        topic, partition, offset = line.split()
        offsets[f"{topic}-{partition}"] = int(offset)
    return offsets


def compare_replicas(directories, end_offset):
    """Compares one partition's replicas, batch by batch, below `end_offset` (a high watermark that
    all of them must have reached), from the highest of their start offsets."""
    logs = [ReplicaLog(directory) for directory in directories]
    found = Comparison(start=max(log.start_offset for log in logs), end=end_offset)
    found.segments = [len(log.segments) for log in logs]
    names = [str(directory) for directory in directories]
    streams = [_between(log, found.start, end_offset) for log in logs]
    expected = found.start
    while expected < end_offset:
        heads = [next(stream, None) for stream in streams]
        for name, head in zip(names, heads):
            if head is None:
                found.differences.append(f"{name} ends below {end_offset}, at {expected}")
        if None in heads:
            return found
        first = heads[0]
        for name, head in zip(names[1:], heads[1:]):
            if head.data != first.data:
                found.differences.append(f"{name} differs from {names[0]} at {_say(first, head)}")
        if found.differences:
            return found
        if first.base_offset > expected and expected != found.start:
            found.differences.append(f"offsets {expected} to {first.base_offset} are missing")
        expected = first.end_offset
        found.batches += 1
        found.bytes += len(first.data)
        found.leader_epochs.add(first.leader_epoch)
    return found


def _between(log, start, end):
    for batch in log.batches():
        if batch.base_offset >= end:
            return
        if batch.end_offset > start:
            yield batch


def _say(one, other):
    say = lambda b: f"[{b.base_offset}, {b.end_offset}) of epoch {b.leader_epoch}, {len(b.data)} bytes"
    return f"{say(one)} against {say(other)}"
