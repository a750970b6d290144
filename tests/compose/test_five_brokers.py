"""deploy/compose/five-brokers.yml: five brokers, three of them controllers."""

import pytest
from clients.confluent import Confluent, ConfluentAdmin
from clients.base import Record
from harness import protocol, wait_until
from image import ROOT
from project import Project
from scenarios import disconnected, killed, paused


@pytest.fixture(scope="module")
def project(image):
    with Project(ROOT / "deploy" / "compose" / "five-brokers.yml", 5, image) as project:
        yield project


def test_five_brokers_share_a_topic_with_three_replicas_each(project):
    ConfluentAdmin().create(project.bootstrap, "spread", 10, 3)
    project.wait_in_sync("spread", of=5)
    partitions = project.metadata(["spread"], of=5).topics["spread"].values()
    assert {len(set(p.replicas)) for p in partitions} == {3}
    assert {p.leader for p in partitions} == {1, 2, 3, 4, 5}
    records = [Record(str(number).encode()) for number in range(1000)]
    client = Confluent()
    client.produce(project.bootstrap, "spread", records)
    read = client.consume(project.bootstrap, "spread", len(records))
    assert sorted(int(record.value) for record in read) == list(range(1000))


def test_topics_are_made_while_one_broker_is_down_and_a_plain_broker_leads_no_quorum(project):
    assert protocol.quorum_leader(project.address(4)) in {1, 2, 3}
    project.kill(5)
    # Until the cluster has noticed, replicas may still be placed on it.
    wait_until(lambda: 5 not in project.metadata().brokers, 30, "ottla-5 being missed")
    ConfluentAdmin().create(project.bootstrap, "meanwhile", 4, 3)
    project.wait_in_sync("meanwhile")
    project.start(5)
    project.wait_healthy([5])
    project.wait_in_sync("spread")


@pytest.mark.parametrize("what", [killed, paused, disconnected])
def test_a_leader_that_fails_under_load_costs_no_acknowledged_record(project, reported, what):
    reported(what("five: leader", project, lambda s: s.leader()))


def test_a_controller_killed_under_load_costs_no_acknowledged_record(project, reported):
    reported(killed("five: controller", project, lambda s: s.cluster.controller()))
