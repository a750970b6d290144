"""Fault injectors. Each verifies that its fault took effect, and counts it.

A fault that did not land makes the run void, not passed: `Void` is raised.
"""

from harness import wait_until


class Void(Exception):
    """The run shows nothing: what it was to show did not happen."""


class Faults:
    """What is done to a cluster. `fired` counts each kind; `elections` the leaders that had to
    move for it."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.fired = {}

    def kill(self, *ids):
        """kill -9 of all of them, one right behind the other."""
        for id in ids:
            self.cluster.kill(id)
        for id in ids:
            self._landed(lambda: self.cluster.is_gone(id), f"node {id} being gone")
            self._count("kill")

    def start(self, *ids):
        for id in ids:
            self.cluster.start_node(id, wait=False)
        self.cluster.wait_ready()

    def pause(self, id):
        self.cluster.pause(id)
        self._landed(lambda: self.cluster.is_paused(id), f"node {id} being stopped")
        self._count("pause")

    def resume(self, id):
        self.cluster.resume(id)
        self._landed(lambda: not self.cluster.is_paused(id), f"node {id} running again")

    def count(self):
        return sum(self.fired.values())

    def _count(self, kind):
        self.fired[kind] = self.fired.get(kind, 0) + 1

    @staticmethod
    def _landed(check, what):
        try:
            wait_until(check, 5, what)
        except TimeoutError as error:
            raise Void(str(error)) from error
