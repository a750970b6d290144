"""The ways to run a cluster under chaos.

A way is a `harness.Cluster` that can also say whether a fault took effect (`is_gone`, `is_paused`)
and where the replicas' files are (`log_directories`). `kill`, `pause` and `resume` only do it;
`faults` asks whether it happened.
"""

import shutil
import tempfile
from pathlib import Path

from harness import Cluster
from harness.network import Network
from harness.volume import Volume

# Everything else is at its default: of Kafka too, whose harness notices dead brokers sooner.
OVERRIDES = {
    "ottla": {},
    "kafka": {"broker.session.timeout.ms": 9000, "broker.heartbeat.interval.ms": 2000},
}
COMMON = {
    "num.partitions": 3,
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
}


class Processes(Cluster):
    """Server processes on loopback."""

    def __init__(self, system="ottla", count=3, overrides=None):
        super().__init__(system, count, tempfile.mkdtemp(prefix="chaos-"),
                         {**COMMON, **OVERRIDES[system], **(overrides or {})})
        self.clean_exit_code = self.system.clean_exit_code
        self.patience = self.system.patience

    def remove(self):
        """Removes what the nodes wrote. `stop` leaves it, for whoever looks into a failure."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def is_gone(self, id):
        return not Path(f"/proc/{self.pid(id)}").exists()

    def is_paused(self, id):
        """All its threads are stopped."""
        return self._threads_are(id, "T")

    def is_frozen(self, id):
        """No thread of it runs: each is stopped, or waits for a disk and stops when that answers."""
        return self._threads_are(id, "TD")

    def _threads_are(self, id, wanted):
        tasks = Path(f"/proc/{self.pid(id)}/task")
        states = [(task / "stat").read_text().rpartition(")")[2].split()[0]
                  for task in tasks.iterdir()]
        return bool(states) and all(state in wanted for state in states)

    def log_directories(self, topic, partition):
        """Where a partition's replicas are, by node."""
        places = {id: self.data_directory(id) / f"{topic}-{partition}" for id in self.nodes}
        return {id: place for id, place in places.items() if place.exists()}


class Namespaces(Processes):
    """Server processes in network namespaces of their own, on one bridge."""

    def __init__(self, system="ottla", count=3, overrides=None):
        self.network = Network()
        try:
            super().__init__(system, count, overrides)
        except BaseException:
            self.network.remove()
            raise

    def host_of(self, id):
        return self.network.add(id)

    def ports_of(self, id):
        return [9092, 9093, 9094, 9095][: self.system.ports_per_node()]

    def prefix_of(self, id):
        return self.network.prefix(id)

    def stop(self):
        try:
            super().stop()
        finally:
            self.network.remove()


class Volumes(Processes):
    """Server processes whose data are on file systems of their own, which lose power for real."""

    def __init__(self, system="ottla", count=3, overrides=None, megabytes=512):
        super().__init__(system, count, overrides)
        self.volumes = {}
        try:
            for id, node in self.nodes.items():
                self.volumes[id] = Volume(node.directory, "data", megabytes, journal=True)
        except BaseException:
            self.stop()
            raise

    def stop(self):
        try:
            super().stop()
        finally:
            for volume in self.volumes.values():
                volume.close()
