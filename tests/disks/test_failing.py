"""A log directory that fails under load, on the node that leads what is in it and on one that
follows; the other directory of the node is well. Stalls are the prober's.
"""

import pytest
from harness import wait_until
from scenario import Scenario
from test_disks import STORAGE_ERROR, log_dirs
from test_gray import STALL_MAX, TwoDisks


@pytest.fixture
def two_disks(volumes):
    cluster = TwoDisks()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        for volume in cluster.volumes:
            volume.close()
        cluster.remove()


@pytest.mark.parametrize("role, on", [("leader", [1, 2, 3]), ("follower", [2, 3, 1])])
def test_a_log_directory_that_fails_is_not_waited_for(two_disks, capsys, role, on):
    cluster = two_disks
    sick, well = cluster.paths
    address = cluster.nodes[1].address
    with Scenario(f"{role}'s directory fails", cluster, rate=500, on=on) as s:
        assert set(s.leaders().values()) == {on[0]}
        held = {path: [index for topic, index in parts if topic == s.topic]
                for path, (_, parts) in log_dirs(address).items()}
        assert held[sick] and held[well], held
        s.faults.count("fail", "one of node 1's directories")
        cluster.volumes[0].fail()
        s.faults.landed(cluster.volumes[0].has_failed, "the disk failing")

        def given_up():
            now = cluster.metadata([s.topic], of=2).topics[s.topic]
            return all(1 not in now[index].isr and now[index].leader not in (1, -1)
                       for index in held[sick])

        wait_until(given_up, 30, "the others going on without it")
        s.flow(3)
        assert log_dirs(address)[sick] == (STORAGE_ERROR, {})
        now = cluster.metadata([s.topic], of=2).topics[s.topic]
        assert all(1 in now[index].isr and now[index].leader == on[0] for index in held[well])
        # What is on the disk is there again at the next start.
        s.faults.terminate(1)
        cluster.volumes[0].power_up()
        s.faults.start(1)
        s.heal()
    report = s.finish()
    with capsys.disabled():
        print(f"\n{report.scenario}: {report.acknowledged} acknowledged, stalls {report.stalls}")
    assert report.faults == 0, "\n".join([report.json(), *report.examples])
    assert report.stalls["max"] < STALL_MAX, report.stalls
