"""A compose project as a cluster that goes through the scenarios of tests/chaos."""

import json
import subprocess
import tempfile
from pathlib import Path

from faults import Faults
from harness import Cluster
from harness.cluster import Node
from harness.history import now
from harness.ottla import OttlaSystem


def _docker(*arguments):
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


class Container:
    """A broker's container where other clusters have a process."""

    exit_code = None

    def __init__(self, id):
        self.id = id

    def state(self):
        return json.loads(_docker("inspect", self.id))[0]

    def is_running(self):
        return self.state()["State"]["Running"]

    def kill(self):
        if self.is_running():
            _docker("kill", self.id)

    def pause(self):
        _docker("pause", self.id)

    def resume(self):
        _docker("unpause", self.id)

    def log_tail(self, lines=40):
        done = subprocess.run(["docker", "logs", f"--tail={lines}", self.id], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout


class Composed(Cluster):
    """The brokers of a project that is up. Histories go to a directory of its own."""

    clean_exit_code = 0
    patience = 60.0

    def __init__(self, project):
        self.project = project
        self.system = OttlaSystem()
        self.directory = Path(tempfile.mkdtemp(prefix="chaos-"))
        self.nodes = {}
        for id in project.ids:
            # Names may stand for several addresses, of which only this one is published.
            host, port = project.address(id)
            self.nodes[id] = Node(id, [port], self.directory, None, host,
                                  Container(project.container(id)))

    def start_node(self, id, wait=True):
        _docker("start", self.nodes[id].process.id)
        if wait:
            self.wait_ready()

    def is_gone(self, id):
        return not self.nodes[id].process.is_running()

    def is_paused(self, id):
        return self.nodes[id].process.state()["State"]["Paused"]

    def networks(self, id):
        return list(self.nodes[id].process.state()["NetworkSettings"]["Networks"])

    def log_directories(self, topic, partition):
        places = {}
        for id, node in self.nodes.items():
            mounts = node.process.state()["Mounts"]
            volume = next(Path(m["Source"]) for m in mounts if m["Destination"] == "/var/lib/ottla")
            if (volume / f"{topic}-{partition}").exists():
                places[id] = volume / f"{topic}-{partition}"
        return places


class ContainerFaults(Faults):
    """What else is done to containers."""

    def disconnect(self, id):
        """Takes a container off its network, its published ports included."""
        at = now()
        network, = self.cluster.networks(id)
        _docker("network", "disconnect", network, self.cluster.nodes[id].process.id)
        self.landed(lambda: self.cluster.networks(id) == [], f"ottla-{id} having no network")
        self.count("disconnect", f"ottla-{id}", at)
        return network

    def connect(self, id, network):
        container = self.cluster.nodes[id].process.id
        _docker("network", "connect", "--alias", f"ottla-{id}", network, container)
        self.landed(lambda: self.cluster.networks(id) == [network], f"ottla-{id} having a network")
