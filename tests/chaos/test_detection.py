"""A node whose process dies is noticed by its closed connections, not by its silence: with sessions
and election timeouts far longer than any test, leaders move all the same."""

import time

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from harness import Cluster, wait_until

SILENCE = 60.0
# The goal is a tenth of a second; this allows for a busy machine, and is far from SILENCE.
NOTICED_MAX = 5.0
PARTITIONS = 12
OVERRIDES = {
    "broker.session.timeout.ms": int(SILENCE * 1000),
    "ottla.raft.election.timeout.min.ms": int(SILENCE * 1000),
    "ottla.raft.election.timeout.max.ms": int(SILENCE * 1000) + 1000,
    "auto.leader.rebalance.enable": "false",
}


@pytest.fixture
def patient():
    with Cluster("ottla", overrides=OVERRIDES) as cluster:
        topic = NewTopic("t", num_partitions=PARTITIONS, replication_factor=3)
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        admin.create_topics([topic])["t"].result(30)
        cluster.wait_in_sync("t")
        yield cluster


def leaders(cluster):
    return {p.leader for p in cluster.metadata(["t"]).topics["t"].values()}


def kill_and_time(cluster, victim):
    """Kills a node; returns the seconds until all that it led is led by others."""
    assert victim in leaders(cluster), "it leads nothing, so nothing can move"
    start = time.monotonic()
    cluster.kill(victim)
    wait_until(lambda: leaders(cluster).isdisjoint({victim, -1}), SILENCE, "leaders moving")
    return time.monotonic() - start


def test_leaders_move_at_once_when_a_process_dies(patient):
    controller = patient.controller()
    broker = next(id for id in sorted(leaders(patient)) if id != controller)
    took = kill_and_time(patient, broker)
    print(f"a broker's leaders moved in {took:.3f} s")
    assert took < NOTICED_MAX
    patient.start_node(broker)
    patient.wait_in_sync("t")


def test_leaders_move_at_once_when_the_active_controllers_process_dies(patient):
    took = kill_and_time(patient, patient.controller())
    print(f"the active controller was succeeded, and its leaders moved, in {took:.3f} s")
    assert took < NOTICED_MAX
