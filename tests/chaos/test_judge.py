"""What the chaos run judges by: records name themselves, and replicas are compared byte by byte.

The histories' own judgement is tested where the checker is (`crates/verify`, `tests/verify`)."""

import struct

import pytest
from harness.history import HistoryFile, broken, check
from harness.logs import Damaged, ReplicaLog, compare_replicas
from values import contents, name_of, value

SIZE = 64


def verdict(tmp_path, acknowledged, read, unanswered=(), refused=()):
    """`acknowledged`: counter -> offset; `read`: (offset, value) of the final read."""
    with HistoryFile(tmp_path / "history.jsonl", {"t": 1}) as history:
        for counter in sorted({*acknowledged, *unanswered, *refused}):
            outcome = "unknown" if counter in unanswered else "refused"
            if counter in acknowledged:
                history.sent(1, "t", 0, counter, 1, offset=acknowledged[counter])
            else:
                history.sent(1, "t", 0, counter, 1, outcome)
        named, damaged = contents(read, 0)
        history.read(101, "t", 0, named, final=True, damaged=damaged)
        history.final_read("t", 0, end=max((offset for offset, _ in read), default=-1) + 1)
    return check(history.path)


def read(*counters):
    return [(offset, value(1, 0, counter, SIZE)) for offset, counter in enumerate(counters)]


def test_a_clean_history_passes(tmp_path):
    code, report = verdict(tmp_path, {0: 0, 1: 1, 2: 2}, read(0, 1, 2))
    assert (code, report["acknowledged"], report["read"]) == (0, 3, 3)


@pytest.mark.parametrize("seen", [(0, 1), (0, 1, 2)], ids=["away", "there"])
def test_an_unanswered_record_may_be_there_or_not(tmp_path, seen):
    assert verdict(tmp_path, {0: 0, 1: 1}, read(*seen), unanswered=[2])[0] == 0


@pytest.mark.parametrize("acknowledged, seen, refused, invariant", [
    ({0: 0, 1: 1, 2: 2}, read(0, 1), [], "acknowledged-kept"),
    ({0: 1, 1: 0}, read(1, 0), [], "producer-order"),
    ({0: 0, 1: 1}, [*read(0, 1), (2, value(1, 0, 1, SIZE))], [], "once"),
    ({0: 0, 1: 1}, [*read(0), (1, b"1:0:1:" + b"x" * 58)], [], "intact"),
    ({0: 0}, [*read(0), (1, b"rubbish")], [], "intact"),
    ({0: 0}, [*read(0), (1, value(1, 3, 1, SIZE))], [], "intact"),
    ({0: 0}, read(0, 1), [1], "refused-unseen"),
    ({0: 0, 1: 5}, [*read(0), (5, value(1, 0, 1, SIZE))], [], "dense"),
    ({0: 0, 1: 5}, read(0, 1), [], "offsets-acknowledged"),
], ids=["lost", "reordered", "doubled", "changed", "rubbish", "astray", "refused", "hole", "moved"])
def test_an_anomaly_is_seen(tmp_path, acknowledged, seen, refused, invariant):
    code, report = verdict(tmp_path, acknowledged, seen, refused=refused)
    assert code == 1 and invariant in broken(report), report


def test_a_record_names_its_send():
    assert name_of(value(7, 3, 12345, SIZE), 3) == (7, 12345)
    assert "changed" in name_of(value(7, 3, 12345, SIZE)[:-1] + b"\0", 3)
    assert "partition 3" in name_of(value(7, 3, 12345, SIZE), 4)
    assert "no record" in name_of(b"1:2", 2)


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
