"""Links break under load, in every way that links break. Nothing acknowledged is lost, doubled or
reordered, and where a majority sees each other, it goes on.

Each node is a process in a network namespace of its own. Needs root, `ip`, `nft` and `tc`; without
them the tests are skipped and say so.
"""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from harness import batch
from harness.network import CLIENT
from links import Links
from scenario import PARTITIONS, Scenario
from test_chaos import seed_of

CONTROLLER_PORT = 9093
# `replica.lag.time.max.ms`: one slow or cut link must not cost as much.
LAG_SECONDS_MAX = 30


def other_than(cluster, *ids):
    return next(id for id in cluster.nodes if id not in ids)


def follower(cluster, s):
    """One that is not the controller either, where there is such a one."""
    return other_than(cluster, s.leader(), cluster.controller())


def test_a_leader_cut_off_from_all_is_succeeded(networked, reported, rounds):
    with Scenario("leader cut off", networked) as s:
        links = Links(s)
        for _ in rounds:
            victim = s.leader()
            links.isolate(victim)
            links.leader_moves(s.topic, victim, other_than(networked, victim))
            s.flow()
            links.heal()
            s.heal()
    reported(s.finish())


def test_a_follower_cut_off_from_all_is_not_waited_for(networked, reported, rounds):
    with Scenario("follower cut off", networked) as s:
        links = Links(s)
        for _ in rounds:
            links.isolate(follower(networked, s))
            s.flow()
            links.heal()
            s.heal()
    reported(s.finish())


def test_a_controller_cut_off_from_all_is_succeeded(networked, reported, rounds):
    with Scenario("controller cut off", networked) as s:
        links = Links(s)
        for _ in rounds:
            victim = networked.controller()
            links.isolate(victim)
            links.controller_moves(victim, other_than(networked, victim))
            s.flow()
            links.heal()
            s.heal()
    reported(s.finish())


@pytest.mark.parametrize("kind", ["deafen", "mute"])
def test_a_leader_that_is_cut_off_one_way_is_succeeded(networked, reported, rounds, kind):
    with Scenario(f"leader {kind}", networked) as s:
        links = Links(s)
        for _ in rounds:
            victim = s.leader()
            getattr(links, kind)(victim)
            links.leader_moves(s.topic, victim, other_than(networked, victim))
            s.flow()
            links.heal()
            s.heal()
    reported(s.finish())


@pytest.mark.parametrize("bridge", ["controller", "other"])
def test_two_nodes_that_only_a_third_sees_get_by(networked, reported, rounds, bridge):
    """The one that sees both is the controller, or the controller is one of the two."""
    with Scenario(f"bridge is {bridge}", networked) as s:
        links = Links(s)
        for _ in rounds:
            controller = networked.controller()
            others = [id for id in networked.nodes if id != controller]
            one, two = others if bridge == "controller" else (controller, others[0])
            links.part(one, two)
            s.flow(3)
            links.heal()
            s.heal()
    report = s.finish()
    reported(report)
    assert networked.system.name == "kafka" or report.stalls["max"] < LAG_SECONDS_MAX


def test_a_flapping_link_costs_nothing(networked, reported, request):
    dice = random.Random(seed_of(request))
    with Scenario("flapping", networked) as s:
        links = Links(s)
        victim = s.leader()
        ends = time.monotonic() + request.config.getoption("--storm") / 2
        while time.monotonic() < ends:
            links.isolate(victim, kind="flap")
            time.sleep(dice.uniform(0, 1.5))
            links.heal()
            time.sleep(dice.uniform(0, 1))
        s.heal()
    reported(s.finish())


@pytest.mark.parametrize("percent", [5, 20])
def test_lost_packets_cost_time_only(networked, reported, percent):
    with Scenario(f"{percent} % lost", networked) as s:
        links = Links(s)
        links.lose(percent)
        # At 20 % TCP gets so little through that only the prober's records flow as they should.
        s.flow(2 if percent == 5 else 0.5)
        links.heal()
        s.heal()
    reported(s.finish())


def test_a_follower_behind_a_slow_link_is_not_waited_for_for_ever(networked, reported, rounds):
    """What the slow one leads itself gets only what comes through to it."""
    with Scenario("follower slow", networked) as s:
        links = Links(s)
        for _ in rounds:
            slow = follower(networked, s)
            led_by_others = [p for p, leader in s.leaders().items() if leader != slow]
            links.slow(slow, 1000)
            s.flow(1, led_by_others)
            links.heal()
            s.heal()
    reported(s.finish())


def test_a_client_that_does_not_reach_a_leader_goes_on_with_the_others(networked, reported):
    """The leader is well, so it stays; its partitions wait for the client's link."""
    with Scenario("client cut off", networked) as s:
        links = Links(s)
        before = s.leaders()
        links.cut("cut", [(CLIENT, before[0]), (before[0], CLIENT)], f"node {before[0]}")
        s.flow(1, [p for p, leader in before.items() if leader != before[0]])
        links.heal()
        assert s.leaders() == before
        s.heal()
    report = s.finish()
    assert report.leader_epochs == PARTITIONS, "a leader moved"
    reported(report)


def test_without_a_quorum_of_controllers_records_flow_on(networked, reported):
    with Scenario("no quorum", networked) as s:
        links = Links(s)
        before = s.leaders()
        links.cut_port("quorum", CONTROLLER_PORT)
        admin = AdminClient({"bootstrap.servers": networked.bootstrap})
        nobody = admin.create_topics([NewTopic(f"{s.topic}-never", 1, 1)], request_timeout=3,
                                     operation_timeout=2)
        s.flow(3)
        with pytest.raises(KafkaException):
            nobody[f"{s.topic}-never"].result(10)
        assert s.leaders() == before
        links.heal()
        started = time.monotonic()
        networked.controller()
        s.report.told["controller"] = f"{time.monotonic() - started:.2f}"
        s.heal()
    reported(s.finish())


def test_a_leader_cut_off_from_its_peers_but_not_from_clients_acknowledges_nothing(
        networked, reported):
    """It cannot know that it has a successor; it must not acknowledge what nobody else has."""
    with Scenario("zombie leader", networked) as s:
        links = Links(s)
        victim = s.leader()
        zombies = f"{s.topic}-zombie"
        s.make_topic(zombies, 9)
        partitions = networked.metadata([zombies]).topics[zombies].items()
        led = [index for index, p in partitions if p.leader == victim]
        links.isolate(victim, but=[CLIENT])
        address = networked.nodes[victim].address
        record = batch.Batch([(int(time.time() * 1000), b"k", b"zombie")]).encode()

        def ask(index):
            try:
                return batch.produce(address, zombies, record, partition=index, timeout=8).error
            except (TimeoutError, ConnectionError):
                return "no answer"

        with ThreadPoolExecutor(len(led)) as asking:
            answers = [asking.submit(ask, index) for index in led]
            links.leader_moves(s.topic, victim, other_than(networked, victim))
            s.flow()
            codes = [answer.result() for answer in answers]
        assert led and 0 not in codes, f"the zombie acknowledged: {codes}"
        s.report.told["answers"] = ",".join(map(str, sorted(set(codes), key=str)))
        links.heal()
        s.heal()
        ends = [networked.end_offset(zombies, index) for index in led]
        assert ends == [0] * len(led), "what was refused is there all the same"
    reported(s.finish())
