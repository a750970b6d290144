"""Fault injectors. Each verifies that its fault took effect, counts it, and writes it into the
history.

A fault that did not land makes the run void, not passed: `Void` is raised.
"""

import shutil
import time

from harness import wait_until
from harness.history import now


class Void(Exception):
    """The run shows nothing: what it was to show did not happen."""


class Faults:
    """What is done to a cluster. `fired` counts each kind."""

    def __init__(self, cluster, history):
        self.cluster = cluster
        self.history = history
        self.fired = {}

    # Processes.

    def kill(self, *ids):
        """kill -9 of all of them, one right behind the other."""
        at = now()
        for id in ids:
            self.cluster.kill(id)
        for id in ids:
            self.landed(lambda: self.cluster.is_gone(id), f"node {id} being gone")
        self.count("kill", f"nodes {ids}", at, len(ids))

    def start(self, *ids):
        for id in ids:
            self.cluster.start_node(id, wait=False)
        self.cluster.wait_ready()

    def start_unready(self, *ids):
        """Starts them and waits for nothing."""
        for id in ids:
            self.cluster.start_node(id, wait=False)

    def terminate(self, id):
        """SIGTERM, and the orderly end that it asks for; returns the seconds that it took."""
        at, started = now(), time.monotonic()
        code = self.cluster.terminate(id)
        took = time.monotonic() - started
        if code != self.cluster.clean_exit_code:
            raise Void(f"node {id} ended with {code} after {took:.1f} s")
        self.count("stop", f"node {id}", at)
        return took

    def pause(self, id):
        at = now()
        self.cluster.pause(id)
        self.landed(lambda: self.cluster.is_paused(id), f"node {id} being stopped")
        self.count("pause", f"node {id}", at)

    def resume(self, id):
        self.cluster.resume(id)
        self.landed(lambda: not self.cluster.is_paused(id), f"node {id} running again")

    # Disks. The nodes must be down.

    def wipe(self, id):
        at, data = now(), self.cluster.data_directory(id)
        if not any(data.iterdir()):
            raise Void(f"node {id} has no data to lose")
        shutil.rmtree(data)
        data.mkdir()
        self.count("wipe", f"node {id}", at)

    def swap(self, one, other):
        at = now()
        places = [self.cluster.data_directory(id) for id in (one, other)]
        aside = places[0].with_name("aside")
        places[0].rename(aside)
        places[1].rename(places[0])
        aside.rename(places[1])
        self.count("swap", f"nodes {one} and {other}", at)

    def cut_power(self, *ids):
        """Of nodes whose data are on volumes of their own (none named: of all), at once: what they have
        not synced is gone, and they are down.

        The programs stand still before their disks go, with whatever they have asked the disks for:
        while ext4 is being shut down, `fdatasync` can return success for what its aborted journal
        never wrote (228 times in 811 shutdowns under eight threads that write and sync, Linux 6.18).
        Nobody lives to hear of it where the power goes."""
        at = now()
        volumes = {id: self.cluster.volumes[id] for id in ids or self.cluster.nodes}
        for id in volumes:
            self.cluster.pause(id)
        for id in volumes:
            self.landed(lambda: self.cluster.is_frozen(id), f"node {id} standing still")
        for volume in volumes.values():
            volume.fail()
        for id, volume in volumes.items():
            self.landed(volume.has_failed, f"the disk of node {id} failing")
        for id in volumes:
            self.cluster.kill(id)
            self.landed(lambda: self.cluster.is_gone(id), f"node {id} being gone")
        for volume in volumes.values():
            volume.power_up()
            if volume.has_failed():
                raise Void(f"{volume.path} did not come back")
        self.count("power", f"nodes {list(volumes)}", at)

    # What every fault has.

    def healed(self):
        """Nothing is wrong from here on."""
        self.history.fault("heal")

    def count(self, kind, note="", at=None, times=1):
        self.fired[kind] = self.fired.get(kind, 0) + times
        self.history.fault(kind, note, at)

    @staticmethod
    def landed(check, what, timeout=5):
        try:
            wait_until(check, timeout, what)
        except TimeoutError as error:
            raise Void(str(error)) from error
