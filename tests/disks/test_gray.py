"""Disks that hang: every write waits, while the process, its heartbeats and its sockets live.

A real file system is frozen under a running node. Load, prober and checker are those of the chaos
scenarios; the longest stall is the prober's.
"""

import time
from pathlib import Path

import pytest
from harness import protocol, wait_until
from harness.volume import Volume
from scenario import Scenario
from test_disks import log_dirs
from via import Processes

# Far below the 30 s of `replica.lag.time.max.ms` and of clients' patience. The disk counts as stuck
# after 2 s; the rest is the machine's, which may be busy.
STALL_MAX = 8.0
FROZEN_SECONDS = 12
_VOLUME_MB = 400


class Frozen:
    """A cluster of three; the disk of one node can be frozen."""

    def __init__(self, id, metadata_too, **overrides):
        self.cluster = Processes(overrides=overrides)
        self.id = id
        node = self.cluster.nodes[id]
        # The metadata's own directory would be the first log directory.
        own = {} if metadata_too else {"metadata_log_dir": node.directory / "metadata"}
        self.cluster.configure(id, **own)
        self.volume = Volume(node.directory, "data", _VOLUME_MB)

    def __enter__(self):
        try:
            self.cluster.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.volume.is_frozen:
            self.volume.thaw()
        self.cluster.stop()
        self.volume.close()
        self.cluster.remove()


@pytest.fixture
def frozen(volumes):
    made = []

    def make(id, metadata_too=False, **overrides):
        made.append(Frozen(id, metadata_too, **overrides).__enter__())
        return made[-1]

    yield make
    for one in made:
        one.__exit__()


def freeze(scenario, disk):
    """Freezes, and waits until an acknowledgement needs what the disk does not do."""
    scenario.faults.count("freeze", f"node {disk.id}")
    disk.volume.freeze()


def others(scenario, disk):
    """Whether every partition is led by another node, and counts on others alone."""
    of = next(id for id in scenario.cluster.nodes if id != disk.id)
    partitions = scenario.cluster.metadata([scenario.topic], of=of).topics[scenario.topic].values()
    return all(p.leader not in (disk.id, -1) and disk.id not in p.isr for p in partitions)


def rejoined(cluster, topic, id):
    """Waits until all replicas are in sync by another node's word: what the sick one knows may be from
    before, and the scenario asks the first node that answers."""
    of = next(other for other in cluster.nodes if other != id)

    def all_in_sync():
        partitions = cluster.metadata([topic], of=of).topics[topic].values()
        return all(set(p.isr) == set(p.replicas) for p in partitions)

    wait_until(all_in_sync, 60, f"node {id} in sync everywhere")


@pytest.mark.parametrize("what", ["data", "everything"])
@pytest.mark.parametrize("durability", ["replicated", "synced"])
def test_a_disk_that_hangs_loses_its_leaderships_in_seconds_and_comes_back(
        frozen, what, durability, capsys):
    disk = frozen(1, metadata_too=what == "everything")
    name = f"disk-hangs-{what}-{durability}"
    if what == "everything":
        # The active controller's, too: its log hangs with the rest.
        while disk.cluster.controller() != disk.id:
            disk.cluster.restart(disk.cluster.controller())
    with Scenario(name, disk.cluster, {"ottla.durability": durability}, rate=500) as scenario:
        assert disk.id in scenario.leaders().values(), "it leads something"
        freeze(scenario, disk)
        began = time.monotonic()
        wait_until(lambda: others(scenario, disk), 20, "others leading without it")
        moved = time.monotonic() - began
        # All partitions take records while the disk hangs.
        scenario.flow(3.0)
        # The node itself goes on: it answers whoever asks it something else.
        told = protocol.metadata(disk.cluster.nodes[disk.id].address, [scenario.topic], timeout=5)
        assert told.topics
        time.sleep(max(0.0, began + FROZEN_SECONDS - time.monotonic()))
        disk.volume.thaw()
        rejoined(disk.cluster, scenario.topic, disk.id)
        scenario.heal()
    report = scenario.finish()
    with capsys.disabled():
        print(f"\n{name}: others lead after {moved:.2f} s, stalls {report.stalls}")
    assert report.faults == 0, "\n".join([report.json(), *report.examples])
    assert report.stalls["max"] < STALL_MAX, report.stalls


def test_leaders_give_up_a_follower_that_makes_all_wait_though_it_says_nothing_itself(
        frozen, capsys):
    disk = frozen(1, **{"ottla.disk.stall.ms": 0})
    # It leads nothing: nobody would look at what it leads.
    with Scenario("follower-hangs", disk.cluster, rate=500, on=[2, 3, 1]) as scenario:
        freeze(scenario, disk)
        began = time.monotonic()
        wait_until(lambda: others(scenario, disk), 20, "leaders going on without it")
        moved = time.monotonic() - began
        scenario.flow(3.0)
        time.sleep(max(0.0, began + FROZEN_SECONDS - time.monotonic()))
        disk.volume.thaw()
        rejoined(disk.cluster, scenario.topic, disk.id)
        scenario.heal()
    report = scenario.finish()
    with capsys.disabled():
        print(f"\nfollower-hangs: given up after {moved:.2f} s, stalls {report.stalls}")
    assert report.faults == 0, "\n".join([report.json(), *report.examples])
    assert report.stalls["max"] < STALL_MAX, report.stalls


class TwoDisks(Processes):
    """A cluster whose first node has two log directories on disks of their own."""

    def __init__(self):
        super().__init__()
        node = self.nodes[1]
        self.volumes = [Volume(node.directory, name, _VOLUME_MB) for name in ("first", "second")]
        self.paths = [str(volume.path / "logs") for volume in self.volumes]
        self.configure(1, log_dirs=",".join(self.paths),
                       metadata_log_dir=node.directory / "metadata")

    def log_directories(self, topic, partition):
        places = super().log_directories(topic, partition)
        for path in self.paths:
            if (place := Path(path) / f"{topic}-{partition}").exists():
                places[1] = place
        return places

    def stop(self):
        for volume in self.volumes:
            if volume.is_frozen:
                volume.thaw()
        super().stop()


def test_what_lies_on_another_disk_of_the_node_goes_on(volumes, capsys):
    cluster = TwoDisks()
    try:
        cluster.start()
        sick, well = cluster.paths
        with Scenario("one-of-two-disks-hangs", cluster, rate=500) as scenario:
            held = {path: [index for topic, index in parts if topic == scenario.topic]
                    for path, (_, parts) in log_dirs(cluster.nodes[1].address).items()}
            kept = [index for index in held[well] if scenario.leaders()[index] == 1]
            scenario.faults.count("freeze", "one of node 1's disks")
            cluster.volumes[0].freeze()

            def moved():
                partitions = cluster.metadata([scenario.topic], of=2).topics[scenario.topic]
                return all(partitions[index].leader != 1 for index in held[sick])

            wait_until(moved, 20, "others leading what is on the sick disk")
            scenario.flow(3.0)
            leaders = cluster.metadata([scenario.topic], of=2).topics[scenario.topic]
            assert all(leaders[index].leader == 1 for index in kept), "and nothing else"
            cluster.volumes[0].thaw()
            rejoined(cluster, scenario.topic, 1)
            scenario.heal()
        report = scenario.finish()
    finally:
        cluster.stop()
        for volume in cluster.volumes:
            volume.close()
        cluster.remove()
    with capsys.disabled():
        print(f"\none-of-two-disks-hangs: stalls {report.stalls}")
    assert report.faults == 0, "\n".join([report.json(), *report.examples])
    assert report.stalls["max"] < STALL_MAX, report.stalls
