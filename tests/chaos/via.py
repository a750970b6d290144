"""The ways to run a cluster under chaos.

A way is a `harness.Cluster` that can also say whether a fault took effect (`is_gone`, `is_paused`)
and where the replicas' files are (`log_directories`). `kill`, `pause` and `resume` only do it;
`faults` asks whether it happened.
"""

import shutil
import tempfile
from pathlib import Path

from harness import Cluster

# Small enough that segments roll within a scenario; everything else is at its default.
OVERRIDES = {
    "num.partitions": 3,
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
}


class Processes(Cluster):
    """Three `ottla server` processes on loopback."""

    def __init__(self):
        super().__init__("ottla", overrides=OVERRIDES, directory=tempfile.mkdtemp(prefix="chaos-"))

    def remove(self):
        """Removes what the nodes wrote. `stop` leaves it, for whoever looks into a failure."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def is_gone(self, id):
        return not Path(f"/proc/{self.pid(id)}").exists()

    def is_paused(self, id):
        """All its threads are stopped."""
        tasks = Path(f"/proc/{self.pid(id)}/task")
        states = [(task / "stat").read_text().rpartition(")")[2].split()[0]
                  for task in tasks.iterdir()]
        return bool(states) and all(state == "T" for state in states)

    def log_directories(self, topic, partition):
        """Where a partition's replicas are, by node."""
        places = {id: self.data_directory(id) / f"{topic}-{partition}" for id in self.nodes}
        return {id: place for id, place in places.items() if place.exists()}


WAYS = {"processes": Processes}
