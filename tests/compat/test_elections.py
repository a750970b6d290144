"""Preferred leaders come back when asked, by Kafka's tool, by ours and by a client."""

import json
import subprocess

import pytest
from clients.base import TIMEOUT
from clients.java import TOOLS, run
from harness import wait_until
from harness.ottla import OttlaSystem

CLASS = f"{TOOLS}.LeaderElectionCommand"


def ours(bootstrap, *args, code=0):
    command = [str(OttlaSystem().binary), "leader-election", "--bootstrap-server", bootstrap, *args]
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def moved(cluster, make_topic):
    """A topic of one partition whose preferred leader lost it, and is back in sync."""
    topic = make_topic(partitions=1)
    preferred = cluster.partition(topic).replicas[0]
    assert cluster.leader(topic) == preferred
    cluster.kill(preferred)
    try:
        cluster.leader(topic, other_than=preferred)
    finally:
        cluster.start_node(preferred)
    cluster.wait_in_sync(topic)
    return topic, preferred


@pytest.mark.parametrize("tool", ["ours", "theirs"])
def test_a_preferred_leader_is_elected_once(cluster, bootstrap, moved, tool):
    topic, preferred = moved
    one = ["--election-type", "preferred", "--topic", topic, "--partition", "0"]
    elect = {
        "ours": lambda: ours(bootstrap, *one),
        "theirs": lambda: run(CLASS, "--bootstrap-server", bootstrap, *one),
    }[tool]
    said = elect()
    assert f"Successfully completed leader election (PREFERRED) for partitions {topic}-0" in said
    wait_until(lambda: cluster.leader(topic) == preferred, TIMEOUT, "the preferred leader leading")
    assert f"Valid replica already elected for partitions {topic}-0" in elect()


def test_all_partitions_are_elected_where_it_is_needed(cluster, bootstrap, moved):
    topic, preferred = moved
    said = ours(bootstrap, "--election-type", "preferred", "--all-topic-partitions")
    assert f"{topic}-0" in said and "already elected" not in said
    wait_until(lambda: cluster.leader(topic) == preferred, TIMEOUT, "the preferred leader leading")


def test_what_cannot_be_elected_is_told_with_its_reason(bootstrap, name, tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"partitions": [{"topic": name, "partition": 0}]}))
    said = ours(bootstrap, "--election-type", "unclean", "--path-to-json-file", str(plan), code=1)
    assert f"Error completing leader election (UNCLEAN) for partition: {name}-0" in said
    assert "1 replica(s) could not be elected" in said
