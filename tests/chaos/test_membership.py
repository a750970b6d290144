"""Brokers come, and disks go, under load."""

import pytest
from harness import wait_until
from scenario import Scenario


def test_a_broker_that_is_added_serves_and_disturbs_nobody(cluster, reported):
    with Scenario("broker added", cluster) as s:
        new = cluster.add_broker()
        cluster.start_node(new)
        s.faults.count("added", f"node {new}")
        topic = f"{s.topic}-wide"
        s.make_topic(topic, 8)
        partitions = cluster.metadata([topic], of=new).topics[topic].values()
        assert any(p.leader == new for p in partitions), "it leads nothing"
        s.flow()
        s.faults.kill(new)
        s.flow()
        s.faults.start(new)
        cluster.wait_in_sync(topic)
        s.heal()
    reported(s.finish())


@pytest.mark.parametrize("role", ["leader", "controller"])
def test_a_wiped_disk_is_filled_again(cluster, reported, rounds, role):
    with Scenario(f"{role} wiped", cluster) as s:
        for _ in rounds:
            victim = s.leader() if role == "leader" else cluster.controller()
            s.faults.kill(victim)
            s.faults.wipe(victim)
            s.flow()
            s.faults.start(victim)
            s.heal()
    reported(s.finish())


def test_nodes_whose_disks_were_swapped_refuse_to_start_and_lose_nothing(cluster, reported):
    with Scenario("disks swapped", cluster) as s:
        one, other = [id for id in cluster.nodes if id != s.leader()]
        s.faults.kill(one, other)
        s.faults.swap(one, other)
        s.faults.start_unready(one, other)
        for id in (one, other):
            wait_until(lambda: id not in cluster.running(), 20, f"node {id} refusing to start")
            assert cluster.nodes[id].process.exit_code > 0
            assert f"belongs to node {other + one - id}" in cluster.log_tail(id), cluster.log_tail(id)
        s.faults.swap(one, other)
        s.faults.start(one, other)
        s.heal()
    reported(s.finish())
