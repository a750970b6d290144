"""Histories that other clients wrote down are judged like the recorder's own."""

from harness.history import HistoryFile, broken, check, judged


def write(path, lose=False, again=False, damage=False, finish=True):
    """A producer's three records and one without an answer, read along and at the end."""
    with HistoryFile(path, {"my-topic": 1}) as history:
        for counter in range(3):
            history.sent(1, "my-topic", 0, counter, began=1000 + counter, offset=counter,
                         ended=2000 + counter)
        history.sent(1, "my-topic", 0, 3, began=1003, outcome="unknown")
        records = [(0, 1, 0), (1, 1, 1), (2, 1, 2), (3, 1, 3)]
        history.read(2, "my-topic", 0, records[:2])
        if lose:
            records = records[:2]
        if again:
            records.append((4, 1, 0))
        damaged = [(records[-1][0] + 1, "its checksum is wrong")] if damage else []
        history.fault("kill", "node 1", at=1500)
        history.read(9, "my-topic", 0, records, final=True, damaged=damaged)
        if finish:
            history.final_read("my-topic", 0, end=len(records) + len(damaged))
    return path


def test_a_history_without_fault_passes(tmp_path):
    code, report = check(write(tmp_path / "history.jsonl"))
    assert (code, report["verdict"], report["void"]) == (0, "pass", [])
    assert (report["acknowledged"], report["unknown"], report["faults"]) == (3, 1, 1)
    assert {"acknowledged-kept", "once", "reader-order", "intact"} <= judged(report)


def test_each_fault_has_its_invariant(tmp_path):
    path = tmp_path / "history.jsonl"
    for fault, invariants in [("lose", {"acknowledged-kept"}), ("again", {"once"}),
                              ("damage", {"intact"})]:
        code, report = check(write(path, **{fault: True}))
        assert (code, broken(report)) == (1, invariants), fault
    assert check(write(path, lose=True))[1]["lost"] == 1
    assert check(write(path, again=True))[1]["duplicated"] == 1


def test_a_history_without_a_final_read_proves_nothing(tmp_path):
    code, report = check(write(tmp_path / "history.jsonl", finish=False))
    assert (code, report["verdict"]) == (2, "void")
    assert report["void"] == ["my-topic-0 was not read at the end"]
