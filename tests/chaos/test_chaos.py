"""Nodes die, stop and come back under acks=all load of idempotent clients. Whatever happens, nothing
acknowledged is lost, doubled or reordered, and the replicas are equal.

Every scenario runs on a cluster of its own. `--rounds` and `--storm` make them longer; `--system
kafka` runs them against Apache Kafka.
"""

import random
import time

from scenario import PARTITIONS, Scenario

# The goal of a stop is well below a second. The program's own bound is 5 s
# (`ottla.shutdown.timeout.ms`); the rest is for a busy machine.
STOP_MAX = {"ottla": 8.0, "kafka": 180.0}


def seed_of(request):
    seed = request.config.getoption("--seed")
    seed = random.randrange(1 << 32) if seed is None else seed
    print(f"--seed {seed}")
    return seed


def test_a_calm_cluster_keeps_everything(cluster, reported):
    with Scenario("calm", cluster) as s:
        s.flow(3)
    reported(s.finish(expects_fault=False))


def test_a_killed_leader_costs_nothing(cluster, reported, rounds):
    with Scenario("leader killed", cluster) as s:
        for _ in rounds:
            victim = s.leader()
            s.faults.kill(victim)
            cluster.leader(s.topic, 0, other_than=victim)
            s.flow()
            s.faults.start(victim)
            s.heal()
    report = s.finish()
    assert report.leader_epochs > PARTITIONS, "no leader moved"
    reported(report)


def test_a_killed_follower_costs_nothing(cluster, reported, rounds):
    with Scenario("follower killed", cluster) as s:
        for _ in rounds:
            victim = next(id for id in cluster.nodes if id not in (s.leader(), cluster.controller()))
            s.faults.kill(victim)
            s.flow()
            s.faults.start(victim)
            s.heal()
    reported(s.finish())


def test_a_killed_controller_costs_nothing(cluster, reported, rounds):
    with Scenario("controller killed", cluster) as s:
        for _ in rounds:
            victim = cluster.controller()
            s.faults.kill(victim)
            assert cluster.controller(other_than=victim) != victim
            s.flow()
            s.faults.start(victim)
            s.heal()
    reported(s.finish())


def test_each_node_killed_in_turn_costs_nothing(cluster, reported, rounds):
    with Scenario("each in turn", cluster) as s:
        for _ in rounds:
            for victim in list(cluster.nodes):
                s.faults.kill(victim)
                s.flow()
                s.faults.start(victim)
                s.heal()
    reported(s.finish())


def test_all_nodes_killed_at_once_cost_nothing(cluster, reported, rounds):
    with Scenario("all at once", cluster) as s:
        for _ in rounds:
            everyone = list(cluster.nodes)
            s.faults.kill(*everyone)
            s.faults.start(*everyone)
            s.flow()
            s.heal()
    reported(s.finish())


def test_a_paused_leader_that_wakes_acknowledges_nothing_of_its_own(cluster, reported, rounds):
    with Scenario("leader paused 5 s", cluster) as s:
        for _ in rounds:
            victim = s.leader()
            s.faults.pause(victim)
            woken = time.monotonic() + 5
            cluster.leader(s.topic, 0, other_than=victim)
            s.flow()
            time.sleep(max(0.0, woken - time.monotonic()))
            s.faults.resume(victim)
            s.heal()
    report = s.finish()
    assert report.leader_epochs > PARTITIONS, "no leader moved"
    reported(report)


def test_a_paused_follower_costs_nothing(cluster, reported, rounds):
    with Scenario("follower paused 3 s", cluster) as s:
        for _ in rounds:
            victim = next(id for id in cluster.nodes if id not in (s.leader(), cluster.controller()))
            s.faults.pause(victim)
            woken = time.monotonic() + 3
            s.flow()
            time.sleep(max(0.0, woken - time.monotonic()))
            s.faults.resume(victim)
            s.heal()
    reported(s.finish())


def test_a_rolling_restart_is_not_seen_by_clients(cluster, reported, rounds):
    """Each broker is told to stop, and started again once it has: no client hears of an error."""
    with Scenario("rolling restart", cluster) as s:
        took = []
        for _ in rounds:
            for id in list(cluster.nodes):
                took.append(s.faults.terminate(id))
                s.flow()
                s.faults.start(id)
                s.heal()
    report = s.finish()
    report.told = {"stop": f"{max(took):.2f}", "reader": f"{s.reader.longest_pause:.2f}"}
    errors = s.reader.errors + s.load.errors + s.load.notices + s.load.failed
    assert cluster.system.name == "kafka" or errors == []
    assert max(took) < STOP_MAX[cluster.system.name]
    reported(report)


def test_a_cluster_that_is_stopped_node_by_node_comes_back_whole(cluster, reported, rounds):
    """The last ones have no quorum any more and must not wait for it."""
    with Scenario("stopped one by one", cluster) as s:
        took = []
        for _ in rounds:
            everyone = list(cluster.nodes)
            took += [s.faults.terminate(id) for id in everyone]
            s.faults.start(*everyone)
            s.heal()
    report = s.finish()
    report.told = {"stop": f"{max(took):.2f}"}
    assert max(took) < STOP_MAX[cluster.system.name]
    reported(report)


def test_a_storm_of_restarts_costs_nothing(cluster, reported, request):
    """Nodes die and come back without a pause for anyone to recover; two may be down at once."""
    seed = seed_of(request)
    dice = random.Random(seed)
    with Scenario(f"restarts {seed}", cluster) as s:
        ends = time.monotonic() + request.config.getoption("--storm")
        while time.monotonic() < ends:
            victims = dice.sample(list(cluster.nodes), dice.choice([1, 1, 2]))
            s.faults.kill(*victims)
            s.faults.start_unready(*victims)
            time.sleep(dice.uniform(0, 1))
        cluster.wait_ready()
        s.heal()
    reported(s.finish())


def test_a_storm_of_kills_and_pauses_costs_nothing(cluster, reported, request):
    """Faults strike whether the cluster has recovered from the last one or not; a majority of the
    nodes may be down for a while."""
    seed = seed_of(request)
    dice = random.Random(seed)
    with Scenario(f"storm {seed}", cluster) as s:
        ends = time.monotonic() + request.config.getoption("--storm")
        while time.monotonic() < ends:
            victims = dice.sample(list(cluster.nodes), dice.choice([1, 1, 1, 2]))
            if dice.random() < 0.7:
                s.faults.kill(*victims)
                time.sleep(dice.uniform(0, 3))
                s.faults.start(*victims)
            else:
                s.faults.pause(victims[0])
                time.sleep(dice.uniform(0, 4))
                s.faults.resume(victims[0])
            time.sleep(dice.uniform(0, 2))
        s.heal()
    reported(s.finish())
