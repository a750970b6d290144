"""`ottla chaos` as a user runs it."""

import json
import os
import re
import subprocess

import pytest
from harness import Cluster
from harness.ottla import OttlaSystem

_TIMEOUT = 180


def chaos(*args, code=0):
    command = [str(part) for part in (OttlaSystem().binary, "chaos", *args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def test_the_scenarios_are_listed():
    listed = [line.split()[0] for line in chaos("list").stdout.splitlines()]
    assert listed == ["leader-kill", "controller-kill", "rolling-kill", "all-kill", "leader-pause",
                      "follower-pause", "rolling-restart", "storm"]


def test_a_scratch_cluster_goes_through_a_scenario_and_leaves_nothing_behind():
    done = chaos("run", "leader-kill", "--seconds", "3", "--seed", "7")
    row = done.stdout.splitlines()[1].split()
    assert row[0] == "leader-kill" and int(row[1]) > 1000
    assert row[2:7] == ["0"] * 5 and re.fullmatch(r"kill:[1-9]\d*", row[-1]), row
    assert "seed 7" in done.stderr
    # A line a second, and the faults between them.
    assert len(re.findall(r"^ *\d+ s  acked +\d+/s  stall \d+\.\d\d s$", done.stderr, re.M)) > 3
    assert re.search(r"^ +kill nodes \[\d\]$", done.stderr, re.M)
    directory = re.search(r"3 brokers run in (\S+)", done.stderr)[1]
    assert not os.path.exists(directory)


@pytest.mark.parametrize("scenario, kinds", [
    ("all-kill", {"kill"}), ("storm", None),
])
def test_the_report_as_json_tells_what_fired_and_what_was_judged(scenario, kinds):
    report = json.loads(chaos("run", scenario, "--seconds", "4", "--json").stdout)
    assert (report["scenario"], report["verdict"], report["broken"]) == (scenario, "pass", None)
    assert kinds is None or set(report["fired"]) == kinds
    judged = report["judged"]
    assert judged["acknowledged"] > 0 and judged["stalls"]["per"] == "fault"
    assert judged["lost"] == judged["duplicated"] == judged["diverged"] == 0


@pytest.fixture
def mine():
    with Cluster("ottla", overrides={"default.replication.factor": 3, "min.insync.replicas": 2,
                                     "offsets.topic.replication.factor": 3}) as cluster:
        yield cluster


def nodes_of(cluster):
    return ",".join(f"{id}={cluster.pid(id)}" for id in cluster.nodes)


def test_nodes_of_a_running_cluster_are_struck_by_their_process_ids(mine):
    done = chaos("run", "leader-pause", "--seconds", "1", "--json", "--bootstrap-server",
                 mine.bootstrap, "--nodes", nodes_of(mine))
    report = json.loads(done.stdout)
    assert (report["verdict"], report["fired"]) == ("pass", {"pause": 1})
    assert mine.running() == [1, 2, 3]


def test_nodes_of_a_running_cluster_are_struck_by_commands(mine, tmp_path):
    """The commands start the nodes anew, as a service manager would."""
    for id, node in mine.nodes.items():
        (tmp_path / f"{id}.pid").write_text(str(mine.pid(id)))
    binary = OttlaSystem().binary
    start = (f"setsid {binary} server --config {mine.directory}/node-{{node}}/server.properties "
             f">/dev/null 2>&1 </dev/null & echo $! > {tmp_path}/{{node}}.pid")
    nodes = ",".join(f"{id}=@{tmp_path}/{id}.pid" for id in mine.nodes)
    try:
        done = chaos("run", "rolling-kill", "--seconds", "1", "--json", "--bootstrap-server",
                     mine.bootstrap, "--nodes", nodes, "--start-command", start)
    finally:
        for id in mine.nodes:
            pid = int((tmp_path / f"{id}.pid").read_text())
            if pid != mine.pid(id):
                os.kill(pid, 9)
    assert json.loads(done.stdout)["fired"] == {"kill": 3}


def test_a_fault_that_does_not_land_makes_the_run_void(mine):
    done = chaos("run", "leader-pause", "--seconds", "1", "--bootstrap-server", mine.bootstrap,
                 "--nodes", "1,2,3", "--pause-command", "true", "--resume-command", "true", code=2)
    assert "still answers" in done.stdout


def test_records_that_a_topic_does_not_promise_to_keep_are_missed(tmp_path):
    """With one replica on a disk that is wiped between kill and start, they are gone, and said to
    be: a chaos run can fail."""
    with Cluster("ottla", count=1) as cluster:
        home = cluster.nodes[1].directory
        pidfile = tmp_path / "pid"
        pidfile.write_text(str(cluster.pid(1)))
        start = (f"rm -rf {home}/data/chaos-*; setsid {OttlaSystem().binary} server --config "
                 f"{home}/server.properties >/dev/null 2>&1 </dev/null & echo $! > {pidfile}")
        try:
            done = chaos("run", "leader-kill", "--seconds", "1", "--json", "--bootstrap-server",
                         cluster.bootstrap, "--nodes", f"1=@{pidfile}", "--start-command", start,
                         "--history", tmp_path / "history.jsonl", code=1)
        finally:
            pid = int(pidfile.read_text())
            if pid != cluster.pid(1):
                os.kill(pid, 9)
    report = json.loads(done.stdout)
    assert report["verdict"] == "fail" and report["judged"]["lost"] > 0


@pytest.mark.parametrize("args, said", [
    (["run", "nothing"], "invalid value 'nothing'"),
    (["run", "leader-kill", "--bootstrap-server", "localhost:1"], "--nodes"),
    (["run", "leader-kill", "--nodes", "1"], "--bootstrap-server"),
    (["run", "leader-kill", "--bootstrap-server", "x:1", "--nodes", "1", "--brokers", "5"],
     "cannot be used with"),
    (["run", "leader-kill", "--nodes", "one"], "one is no node id"),
], ids=["scenario", "nodes", "bootstrap", "both", "id"])
def test_wrong_arguments_are_refused_by_name(args, said):
    assert said in chaos(*args, code=2).stderr


def test_what_a_scenario_lacks_is_named_before_anything_is_done(mine):
    done = chaos("run", "leader-kill", "--bootstrap-server", mine.bootstrap, "--nodes", nodes_of(mine),
                 code=2)
    assert "--start-command is needed" in done.stderr
    assert mine.running() == [1, 2, 3]
