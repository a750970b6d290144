"""Brokers come, and disks go, under load."""

import shutil
import time

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from harness import batch, wait_until
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
            told = cluster.system.foreign_disk.format(other + one - id)
            assert told in cluster.log_tail(id), cluster.log_tail(id)
        s.faults.swap(one, other)
        s.faults.start(one, other)
        s.heal()
    reported(s.finish())


def test_killed_controllers_leave_records_flowing(cluster, reported):
    """Two of three: nobody can decide anything, and nobody needs to."""
    brokers = [cluster.add_broker() for _ in range(3)]
    for id in brokers:
        cluster.start_node(id)
    with Scenario("two controllers killed", cluster, on=brokers) as s:
        before = s.leaders()
        s.faults.kill(1, 2)
        s.flow(3)
        assert s.leaders() == before
        s.faults.start(1, 2)
        started = time.monotonic()
        cluster.controller()
        s.report.told["controller"] = f"{time.monotonic() - started:.2f}"
        s.heal()
    reported(s.finish())


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_only_a_replica_that_has_everything_for_certain_leads(cluster, reported, end):
    """The replicas go one after the other. The first comes back alone, and lacks what the others
    acknowledged. The second had all of it when it went, though it is in no ISR any more: if it was
    stopped in order it may lead (KIP-966); if it was killed its disk may lack something."""
    leader, early, late = brokers = [cluster.add_broker() for _ in range(3)]
    for id in brokers:
        cluster.start_node(id)
    with Scenario(f"last replica, other {end}", cluster, on=brokers) as s:
        def partitions():
            return cluster.metadata([s.topic], of=1).topics[s.topic].values()

        def nobody_leads(seconds):
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                assert {p.leader for p in partitions()} == {-1}, "what it lacks would be lost"

        s.faults.kill(early)
        s.flow()
        s.faults.kill(late) if end == "killed" else s.faults.terminate(late)
        wait_until(lambda: all(p.isr == [leader] for p in partitions()), 30, "the last one alone")
        s.faults.kill(leader)
        wait_until(lambda: all(p.leader == -1 for p in partitions()), 30, "nobody leading")
        s.faults.start(early)
        nobody_leads(2)
        s.faults.start(late)
        if end == "killed":
            nobody_leads(2)
        else:
            s.flow()
        s.faults.start(leader)
        s.heal()
    reported(s.finish())


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_a_partition_made_while_others_were_away_outlives_the_only_disk_it_had(
        cluster, request, end):
    """Below `min.insync.replicas` nothing was acknowledged by all, so those that were away lack
    nothing that was. As long as the only disk may come back, it is waited for."""
    if request.config.getoption("--system") != "ottla":
        pytest.skip("elsewhere its first leader is waited for, empty or not")
    there, *away = brokers = [cluster.add_broker() for _ in range(3)]
    for id in brokers:
        cluster.start_node(id)
    for id in away:
        cluster.kill(id) if end == "killed" else cluster.terminate(id)
    topic = NewTopic("t", 1, replica_assignment=[brokers], config={"min.insync.replicas": "2"})
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})

    def is_made():
        # Until they are known to be away, all of them would be in the ISR.
        if set(cluster.metadata(of=1).brokers) & set(away):
            return False
        admin.create_topics([topic])["t"].result(30)
        return True
    wait_until(is_made, 30, "a topic of one live broker")
    state = lambda: cluster.metadata(["t"], of=1).topics["t"][0]
    assert (state().leader, state().isr) == (there, [there])
    value = lambda text: batch.Batch([(int(time.time() * 1000), b"k", text)]).encode()
    alone = batch.produce(cluster.nodes[there].address, "t", value(b"lost"), acks=1)
    refused = batch.produce(cluster.nodes[there].address, "t", value(b"refused"))
    assert (alone.error, refused.error) == (0, 19), "NOT_ENOUGH_REPLICAS"

    cluster.kill(there)
    for id in away:
        cluster.start_node(id, wait=False)
    wait_until(lambda: set(away) <= set(cluster.metadata(of=1).brokers), 30, "the others")
    assert state().leader == -1
    shutil.rmtree(cluster.data_directory(there))
    cluster.start_node(there)
    wait_until(lambda: state().leader in away and len(state().isr) > 1, 30, "their leading")
    address = cluster.nodes[state().leader].address
    kept = batch.produce(address, "t", value(b"kept"))
    assert (kept.error, kept.base_offset) == (0, 0)
    cluster.wait_in_sync("t")
    assert cluster.end_offset("t") == 1
