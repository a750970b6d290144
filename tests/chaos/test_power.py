"""The power of nodes goes under load, mostly of all at the same instant. Each node's data are on a
file system of their own, which is shut down without writing anything more: what was not synced is
gone.

Needs root and loop devices; without them the tests are skipped and say so. `--cuts` says how often.
"""

import random
import time

from harness import wait_until
from load import Load
from scenario import PARTITIONS, Scenario
from test_chaos import seed_of

RATE = 600
# Of records that no node had synced nothing is promised; how many are gone is told.
LOSSY = ["acknowledged-kept", "offsets-acknowledged", "one-value", "append-order"]


def test_power_cuts_of_all_nodes_cost_no_synced_record(powered, reported, request):
    dice = random.Random(seed_of(request))
    cuts = request.config.getoption("--cuts")
    with Scenario("power cuts, synced", powered, powered.system.synced, rate=RATE) as s:
        for _ in range(cuts):
            s.flow(dice.uniform(0.05, 0.5))
            s.faults.cut_power()
            s.faults.start(*powered.nodes)
        s.heal()
    report = s.finish()
    assert report.fired["power"] == cuts
    reported(report)


def test_power_cuts_of_all_nodes_leave_replicated_topics_whole(powered, reported, request):
    """Records that no node had synced may be gone, as the topic promises no more. What is there is
    the same everywhere, in order, and once."""
    dice = random.Random(seed_of(request))
    s = Scenario("power cuts, replicated", powered, powered.system.unsynced)
    for number in range(10, 10 + max(request.config.getoption("--cuts") // 4, 1)):
        # A producer whose records are gone cannot go on: its sequence has a hole.
        load = Load(powered.bootstrap, s.history, s.topic, PARTITIONS, 2000, 5000, number).start()
        # Past the end of a segment, up to which all is synced.
        enough = dice.randrange(250, 500)
        s.faults.landed(lambda: min(load.acknowledged) > enough, "records flowing", 30)
        s.faults.cut_power()
        load.finish(0)
        del load
        s.faults.start(*powered.nodes)
        s.in_sync()
    judged = s.judge(LOSSY)
    notes = next(of["notes"] for of in judged["invariants"] if of["name"] == "acknowledged-kept")
    s.report.told["gone"] = notes
    reported(s.report)


def test_an_acker_that_lost_power_does_not_vouch_for_what_it_has_lost(powered, reported, rounds):
    """One follower stands still, the other one loses its power, and with it what only it and the
    leader had; both come back just as the leader stands still. Neither may lead before it has all."""
    with Scenario("acker without power", powered) as s:
        for _ in rounds:
            leader = s.leader()
            late, acker = [id for id in powered.nodes if id != leader]
            s.faults.pause(late)
            s.flow()
            s.faults.cut_power(acker)
            s.faults.start_unready(acker)
            wait_until(lambda: powered.metadata(of=acker).brokers, 20, f"node {acker} answering")
            s.faults.resume(late)
            s.faults.pause(leader)
            time.sleep(3)
            s.faults.resume(leader)
            s.heal()
    reported(s.finish())
