"""Fault injectors. Each verifies that its fault took effect, and counts it.

A fault that did not land makes the run void, not passed: `Void` is raised.
"""

import time

from harness import wait_until


class Void(Exception):
    """The run shows nothing: what it was to show did not happen."""


class Faults:
    """What is done to a cluster. `fired` counts each kind, `struck` tells when."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.fired = {}
        self.struck = []  # time.monotonic() of each fault

    def kill(self, *ids):
        """kill -9 of all of them, one right behind the other."""
        self._strike()
        for id in ids:
            self.cluster.kill(id)
        for id in ids:
            self._landed(lambda: self.cluster.is_gone(id), f"node {id} being gone")
            self._count("kill")

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
        self._strike()
        started = time.monotonic()
        code = self.cluster.terminate(id)
        took = time.monotonic() - started
        if code != 0:
            raise Void(f"node {id} ended with {code} after {took:.1f} s")
        self._count("stop")
        return took

    def pause(self, id):
        self._strike()
        self.cluster.pause(id)
        self._landed(lambda: self.cluster.is_paused(id), f"node {id} being stopped")
        self._count("pause")

    def resume(self, id):
        self.cluster.resume(id)
        self._landed(lambda: not self.cluster.is_paused(id), f"node {id} running again")

    def count(self):
        return sum(self.fired.values())

    def _strike(self):
        self.struck.append(time.monotonic())

    def _count(self, kind):
        self.fired[kind] = self.fired.get(kind, 0) + 1

    @staticmethod
    def _landed(check, what):
        try:
            wait_until(check, 5, what)
        except TimeoutError as error:
            raise Void(str(error)) from error
