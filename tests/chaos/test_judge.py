"""The judge sees each kind of anomaly, and none where there is none."""

import struct

import pytest
from harness.logs import Damaged, ReplicaLog, compare_replicas
from history import PartitionHistory, judge, value

SIZE = 64


def sent(count, acknowledged=None, **more):
    acknowledged = range(count) if acknowledged is None else acknowledged
    return {0: PartitionHistory(sent=count, acknowledged={c: c for c in acknowledged}, **more)}


def read(*counters):
    return {0: [(offset, value(0, c, SIZE)) for offset, c in enumerate(counters)]}


def test_a_clean_history_has_no_fault():
    verdict = judge(sent(3), read(0, 1, 2), SIZE)
    assert (verdict.faults, verdict.acknowledged, verdict.read) == (0, 3, 3)


def test_an_unanswered_record_may_be_there_or_not():
    assert judge(sent(3, [0, 1], unknown={2}), read(0, 1), SIZE).faults == 0
    assert judge(sent(3, [0, 1], unknown={2}), read(0, 1, 2), SIZE).faults == 0


@pytest.mark.parametrize("history, seen, kind", [
    (sent(3), read(0, 1), "lost"),
    (sent(2, [0, 1]), {0: [(0, value(0, 1, SIZE)), (1, value(0, 0, SIZE))]}, "reordered"),
    (sent(3, [0, 1]), {0: read(0, 1)[0] + [(2, value(0, 1, SIZE))]}, "doubled"),
    (sent(2), {0: [(0, value(0, 0, SIZE)), (1, b"0:1:" + b"x" * 60)]}, "foreign"),
    (sent(1), {0: read(0)[0] + [(1, b"rubbish")]}, "foreign"),
    (sent(1), {0: read(0)[0] + [(1, value(0, 7, SIZE))]}, "foreign"),
    (sent(2, [0], refused={1}), read(0, 1), "foreign"),
    (sent(2, [0]), {0: [(0, value(0, 0, SIZE)), (5, value(0, 1, SIZE))]}, "holes"),
], ids=["lost", "reordered", "doubled", "changed", "rubbish", "unsent", "refused", "hole"])
def test_an_anomaly_is_seen(history, seen, kind):
    assert getattr(judge(history, seen, SIZE), kind) == 1


def test_an_acknowledgement_of_another_offset_counts_as_lost():
    history = {0: PartitionHistory(sent=2, acknowledged={0: 0, 1: 5})}
    assert judge(history, read(0, 1), SIZE).lost == 1


def batch(base, count, payload=b"payload", epoch=0):
    rest = struct.pack(">ibIhi", epoch, 2, 0, 0, count - 1) + b"\0" * 34 + payload
    return struct.pack(">qi", base, len(rest)) + rest


def replicas(tmp_path, *files):
    """Each of `files`: {segment's base offset: its batches}."""
    directories = []
    for node, segments in enumerate(files):
        directory = tmp_path / f"node-{node}" / "t-0"
        directory.mkdir(parents=True)
        for base, batches in segments.items():
            (directory / f"{base:020}.log").write_bytes(b"".join(batches))
        directories.append(directory)
    return directories


def test_replicas_are_equal_wherever_their_segments_roll(tmp_path):
    a, b, c = batch(0, 5), batch(5, 2), batch(7, 1)
    found = compare_replicas(replicas(tmp_path, {0: [a, b], 7: [c]}, {0: [a], 5: [b, c]}), 8)
    assert found.differences == []
    assert (found.batches, found.end) == (3, 8)


def test_what_is_above_the_high_watermark_may_differ(tmp_path):
    a, one, other = batch(0, 5), batch(5, 1, b"one"), batch(5, 1, b"other")
    assert compare_replicas(replicas(tmp_path, {0: [a, one]}, {0: [a, other]}), 5).differences == []


@pytest.mark.parametrize("other", [
    [batch(0, 5), batch(5, 1, b"changed")],
    [batch(0, 5), batch(5, 1, epoch=1)],
    [batch(0, 5)],
    [batch(0, 6)],
], ids=["bytes", "epoch", "short", "cut"])
def test_a_difference_below_the_high_watermark_is_seen(tmp_path, other):
    log = [batch(0, 5), batch(5, 1)]
    assert compare_replicas(replicas(tmp_path, {0: log}, {0: other}), 6).differences


def test_a_log_with_rubbish_in_the_middle_is_damaged(tmp_path):
    directory, = replicas(tmp_path, {0: [batch(0, 1), b"\xff" * 80, batch(1, 1)]})
    with pytest.raises(Damaged):
        list(ReplicaLog(directory).batches())
