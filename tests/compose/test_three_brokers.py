"""docker-compose.yml: three brokers, as somebody who tries Ottla starts them."""

import json
import time
import urllib.request

import pytest
from clients.confluent import Confluent, ConfluentAdmin
from harness import wait_until
from image import ROOT
from project import Project
from scenarios import disconnected, killed, paused

# Acknowledged records before and after the stop: some seconds of load.
BEFORE = 5_000


@pytest.fixture(scope="module")
def project(image):
    with Project(ROOT / "docker-compose.yml", 3, image) as project:
        yield project


@pytest.fixture(scope="module")
def admin():
    return ConfluentAdmin()


def make_topic(project, admin, name, partitions):
    """With the cluster's own defaults for everything but partitions."""
    admin.create(project.bootstrap, name, partitions, -1)
    project.wait_in_sync(name)


def read_all(project, topic):
    """Partition 0 from its start to its end."""
    count = project.end_offset(topic, 0)
    return [int(r.value) for r in Confluent().consume(project.bootstrap, topic, count, 0)]


def test_clients_outside_are_told_addresses_that_they_reach(project):
    expected = {id: project.address(id) for id in project.ids}
    for id in project.ids:
        assert project.metadata(of=id).brokers == expected


def test_clients_inside_are_told_the_services_names(project, admin):
    make_topic(project, admin, "inside", 1)
    inside = project.run_inside(2, "ottla", "topics", "--bootstrap-server", "ottla-1:9092",
                                "--describe", "--topic", "inside")
    assert "PartitionCount: 1" in inside, inside


def test_topics_have_three_replicas_of_which_two_must_be_in_sync(project, admin):
    make_topic(project, admin, "defaults", 2)
    partitions = project.metadata(["defaults"]).topics["defaults"].values()
    assert [sorted(p.replicas) for p in partitions] == [[1, 2, 3]] * 2
    assert admin.config(project.bootstrap, "defaults", "min.insync.replicas") == "2"


def test_a_broker_runs_without_privileges_and_tells_how_it_is(project):
    settings = project.inspect(1)
    assert settings["Config"]["User"] == "65532:65532"
    assert settings["HostConfig"]["ReadonlyRootfs"]
    with urllib.request.urlopen(f"http://localhost:{project.http_port(1)}/readyz", timeout=5) as page:
        assert json.load(page)["broker_ready"]
    with urllib.request.urlopen(f"http://localhost:{project.http_port(1)}/metrics", timeout=5) as page:
        assert b"ottla" in page.read()


def longest_stall(stream, target):
    """Waits for `target` acknowledged records; returns the longest time without a new one."""
    longest, count, since = 0.0, stream.acknowledged(), time.monotonic()

    def enough():
        nonlocal longest, count, since
        now, new = time.monotonic(), stream.acknowledged()
        if new > count:
            longest, count, since = max(longest, now - since), new, now
        return count >= target

    wait_until(enough, 90, f"{target} acknowledged records", pause=0.005)
    return longest


@pytest.mark.parametrize("what", [killed, paused, disconnected])
def test_a_leader_that_fails_under_load_costs_no_acknowledged_record(project, reported, what):
    reported(what("three: leader", project, lambda s: s.leader()))


def test_a_stopped_broker_ends_cleanly_and_clients_see_no_error(project, admin):
    make_topic(project, admin, "stop", 1)
    stream = Confluent().stream(project.bootstrap, "stop")
    try:
        longest_stall(stream, BEFORE)
        leader = project.metadata(["stop"]).topics["stop"][0].leader
        began = time.monotonic()
        project.compose("stop", f"ottla-{leader}")
        took = time.monotonic() - began
        assert project.inspect(leader)["State"]["ExitCode"] == 0
        assert took < 8, f"a clean stop took {took:.1f} s"
        longest_stall(stream, stream.acknowledged() + BEFORE)
        project.start(leader)
        project.wait_healthy([leader])
        acknowledged = stream.finish()
    except BaseException:
        stream.abort()
        raise
    project.wait_in_sync("stop")
    assert read_all(project, "stop") == acknowledged


def test_records_outlive_the_containers(project, admin):
    make_topic(project, admin, "kept", 1)
    stream = Confluent().stream(project.bootstrap, "kept")
    longest_stall(stream, BEFORE)
    acknowledged = stream.finish()
    project.down(volumes=False)
    project.up()
    project.wait_in_sync("kept")
    assert read_all(project, "kept") == acknowledged
