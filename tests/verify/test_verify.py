"""The checker against real clusters: it passes what is right, and notices a loss that is real.

`--system kafka` runs the same against Apache Kafka: what fails there is a wrong test.
"""

import json

from harness import wait_until
from harness.history import broken, check, judged
from recorder import Recorder

# All but transactions, which no producer uses yet, and recovery, which needs a healing.
ALWAYS_JUDGED = {
    "acknowledged-kept", "offsets-acknowledged", "one-value", "reads-kept", "once",
    "producer-order", "dense", "refused-unseen", "reader-order", "group-coverage", "commits-kept",
    "sole-owner", "watermark-forward", "watermark-current", "append-order", "settings-kept",
    "intact",
}


def test_a_cluster_without_faults_passes(cluster, tmp_path, reported):
    with Recorder(cluster, tmp_path) as recorder:
        recorder.flow(10_000)
        code, report = recorder.finish()
    reported(report)
    assert (code, report["verdict"]) == (0, "pass"), json.dumps(report, indent=1)
    assert judged(report) == ALWAYS_JUDGED
    assert report["commits"] > 0 and report["unknown"] == 0


def test_a_leader_killed_in_the_middle_loses_nothing(cluster, tmp_path, reported):
    with Recorder(cluster, tmp_path, "--groups", "2", "--churn", "4s") as recorder:
        recorder.flow(6000)
        for id in (cluster.leader(recorder.topics()[0]), cluster.controller()):
            if id in cluster.running():
                recorder.note(f"fault kill node {id}")
                cluster.kill(id)
                recorder.flow()
                cluster.start_node(id)
                for topic in recorder.topics():
                    cluster.wait_in_sync(topic)
        recorder.note("fault heal")
        recorder.flow(6000)
        code, report = recorder.finish()
    reported(report)
    assert (code, report["verdict"]) == (0, "pass"), json.dumps(report, indent=1)
    assert judged(report) == ALWAYS_JUDGED | {"recovery"}
    assert report["faults"] >= 1 and report["stalls"]["per"] == "fault"
    # The same file gives the same report.
    assert check(recorder.history) == (code, report)


def test_records_that_only_a_dead_leader_had_are_reported_as_lost(cluster, tmp_path, reported):
    """With acks=1 a record is acknowledged before any follower has it. The followers are stopped,
    the leader takes records for a while and is killed: they are gone, and must be missed."""
    args = ["--acks", "1", "--min-insync", "1", "--topics", "1", "--partitions", "3", "--rate",
            "3000", "--record-size", "2000"]
    with Recorder(cluster, tmp_path, *args) as recorder:
        recorder.flow(6000)
        leader = cluster.leader(recorder.topics()[0])
        followers = [id for id in cluster.nodes if id != leader]
        for id in followers:
            cluster.pause(id)
        stopped_at = recorder.acknowledged()
        # More than is on the way in sockets.
        wait_until(lambda: recorder.acknowledged() > stopped_at + 1500, 10.0,
                   "records that only the leader has")
        recorder.note(f"fault kill node {leader}")
        cluster.kill(leader)
        for id in followers:
            cluster.resume(id)
        cluster.leader(recorder.topics()[0], other_than=leader)
        cluster.start_node(leader)
        cluster.wait_in_sync(recorder.topics()[0])
        recorder.note("fault heal")
        recorder.flow()
        code, report = recorder.finish()
    reported(report)
    assert (code, report["verdict"]) == (1, "fail"), json.dumps(report, indent=1)
    assert report["lost"] > 0 and report["duplicated"] == 0
    assert broken(report) == {"acknowledged-kept"}, json.dumps(report, indent=1)
    # Whoever expects the loss says so.
    code, report = check(recorder.history, "--allow", "acknowledged-kept")
    assert (code, report["lost"]) == (0, 0)


def test_a_history_that_was_tampered_with_fails(cluster, tmp_path):
    """A record is taken out of the final read: the checker has nothing but the file."""
    with Recorder(cluster, tmp_path, "--topics", "1", "--partitions", "1") as recorder:
        recorder.flow(1000)
        code, report = recorder.finish()
    assert code == 0, json.dumps(report, indent=1)
    lines = recorder.history.read_text().splitlines()
    for index, line in enumerate(lines):
        event = json.loads(line)
        if event["op"] == "read" and event["purpose"] == "final":
            offset, producer, counter, count = event["runs"][0]
            event["runs"][0] = [offset + 1, producer, counter + 1, count - 1]
            lines[index] = json.dumps(event)
            break
    tampered = tmp_path / "tampered.jsonl"
    tampered.write_text("\n".join(lines) + "\n")
    code, report = check(tampered)
    assert (code, report["lost"]) == (1, 1)
    assert broken(report) >= {"acknowledged-kept", "dense"}
    # Without its last line it proves nothing beyond that.
    cut = tmp_path / "cut.jsonl"
    cut.write_text("\n".join(recorder.history.read_text().splitlines()[:-1]) + "\n")
    code, report = check(cut)
    assert (code, report["verdict"]) == (2, "void")
