"""A cluster of nodes, each a process of its own on loopback."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from . import protocol
from .kafka import KafkaSystem
from .ottla import OttlaSystem
from .ports import free_port
from .process import NodeProcess
from .wait import NodeEnded, wait_until

SYSTEMS = {"ottla": OttlaSystem, "kafka": KafkaSystem}


@dataclass
class Node:
    id: int
    ports: list
    directory: Path
    config: Path
    host: str = "127.0.0.1"
    process: NodeProcess = field(default=None)

    @property
    def address(self):
        return (self.host, self.ports[0])


class Cluster:
    """Nodes 1..count, each a broker and a controller.

    `overrides` are properties of every node. Use it as a context manager, or call `start` and
    `stop`. All calls that change a node wait until the change has happened to the process;
    waiting for what the cluster makes of it is the caller's (`wait_in_sync`, `wait_until`).
    """

    def __init__(self, system="ottla", count=3, directory=None, overrides=None):
        self.system = SYSTEMS[system]()
        self._own_directory = directory is None
        self.directory = Path(directory or tempfile.mkdtemp(prefix=f"{system}-cluster-"))
        self.overrides = dict(overrides or {})
        self.nodes = {id: self._new_node(id) for id in range(1, count + 1)}
        self._founders = list(self.nodes.values())
        for node in self._founders:
            self.configure(node.id)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    def _new_node(self, id):
        home = self.directory / f"node-{id}"
        home.mkdir(parents=True, exist_ok=True)
        return Node(id, self.ports_of(id), home, home / "server.properties", self.host_of(id))

    def configure(self, id, **overrides):
        """Writes a node's properties; `overrides` are its own, with `_` for `.` in their names."""
        own = {key.replace("_", "."): value for key, value in overrides.items()}
        properties = self.system.properties(self.nodes[id], self._founders)
        lines = [f"{key}={value}" for key, value in {**properties, **self.overrides, **own}.items()]
        self.nodes[id].config.write_text("\n".join(lines) + "\n")

    # Where its nodes are: subclasses may put them elsewhere.

    def host_of(self, id):
        return "127.0.0.1"

    def ports_of(self, id):
        return [free_port() for _ in range(self.system.ports_per_node())]

    def prefix_of(self, id):
        """What stands before a node's command line."""
        return []

    # What it is.

    @property
    def bootstrap(self):
        """All brokers' addresses, as clients take them."""
        return ",".join(f"{host}:{port}" for host, port in self.addresses())

    def addresses(self):
        return [node.address for node in self.nodes.values()]

    def running(self):
        """Ids of the nodes whose process runs."""
        return [n.id for n in self.nodes.values() if n.process and n.process.is_running()]

    def pid(self, id):
        return self.nodes[id].process.pid

    def data_directory(self, id):
        return self.nodes[id].directory / "data"

    def log_tail(self, id, lines=40):
        process = self.nodes[id].process
        return process.log_tail(lines) if process else ""

    # What is done to it.

    def start(self):
        """Starts all nodes and waits until each of them knows all of them."""
        for id in self.nodes:
            self.start_node(id, wait=False)
        self.wait_ready()
        return self

    def stop(self):
        """Kills all nodes and removes what they wrote."""
        for node in self.nodes.values():
            if node.process:
                node.process.kill()
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def start_node(self, id, wait=True):
        """Starts a node that is down, on its old data."""
        node = self.nodes[id]
        assert not (node.process and node.process.is_running()), f"node {id} runs already"
        self.system.prepare(node)
        log = node.directory / "output.log"
        command = [*self.prefix_of(id), *self.system.command(node)]
        node.process = NodeProcess(command, log, self.system.environment())
        if wait:
            self.wait_ready()

    def add_broker(self):
        """A node that is a broker only, known to the others by its registration alone; returns its
        id. Start it with `start_node`."""
        id = max(self.nodes) + 1
        self.nodes[id] = self._new_node(id)
        self.configure(id, process_roles="broker", **self.system.broker_only(self.nodes[id]))
        return id

    def kill(self, id):
        """kill -9."""
        self.nodes[id].process.kill()

    def terminate(self, id):
        """SIGTERM; returns the exit code."""
        return self.nodes[id].process.terminate(self.system.stop_timeout)

    def restart(self, id):
        """kill -9 and start again."""
        self.kill(id)
        self.start_node(id)

    def pause(self, id):
        self.nodes[id].process.pause()

    def resume(self, id):
        self.nodes[id].process.resume()

    # What it says of itself.

    def metadata(self, topics=(), of=None):
        """Metadata as node `of` (default: the first running one that answers) tells it."""
        ids = [of] if of else self.running()
        error = RuntimeError("no node runs")
        for id in ids:
            try:
                return protocol.metadata(self.nodes[id].address, topics, timeout=3.0)
            except OSError as failed:
                error = failed
        raise error

    def wait_ready(self, timeout=None):
        """Waits until every running node knows every running node."""
        timeout = timeout or self.system.start_timeout

        def ready():
            self._check_alive()
            expected = set(self.running())
            return all(set(self.metadata(of=id).brokers) >= expected for id in expected)

        wait_until(ready, timeout, "the cluster knowing all its nodes", pause=0.05)

    def _check_alive(self):
        for node in self.nodes.values():
            if node.process and not node.process.is_running():
                code = node.process.exit_code
                if code is not None and code > 0 and code != self.system.clean_exit_code:
                    tail = node.process.log_tail()
                    raise NodeEnded(f"node {node.id} ended with code {code}:\n{tail}")

    def partition(self, topic, partition=0):
        return self.metadata([topic]).topics[topic][partition]

    def leader(self, topic, partition=0, timeout=30.0, other_than=None):
        """The id of a partition's leader, once there is one (that is not `other_than`)."""

        def led():
            leader = self.partition(topic, partition).leader
            return leader if leader > 0 and leader != other_than else None

        return wait_until(led, timeout, f"{topic}-{partition} having a leader")

    def controller(self, timeout=30.0, other_than=None):
        """The id of the active controller."""

        def found():
            for id in self.running():
                leader = protocol.quorum_leader(self.nodes[id].address, timeout=3.0)
                if leader is not None and leader != other_than:
                    return leader
            return None

        return wait_until(found, timeout, "the quorum having a leader")

    def coordinator(self, group, timeout=30.0):
        """The id of the broker that coordinates a group."""

        def found():
            return protocol.coordinator(self.nodes[self.running()[0]].address, group)

        return wait_until(found, timeout, f"group {group} having a coordinator")

    def wait_in_sync(self, topic, timeout=60.0):
        """Waits until every partition of a topic has a leader and all its replicas in sync."""

        def in_sync():
            partitions = self.metadata([topic]).topics[topic].values()
            return partitions and all(
                p.leader > 0 and set(p.isr) == set(p.replicas) for p in partitions
            )

        wait_until(in_sync, timeout, f"{topic} being in sync", pause=0.05)

    def wait_everywhere(self, topic, timeout=60.0):
        """As `wait_in_sync`, and every running node knows it: Kafka answers a CreateTopics before
        all of its brokers have heard of it."""
        self.wait_in_sync(topic, timeout)
        known = lambda: all(self.metadata([topic], of=id).topics[topic] for id in self.running())
        wait_until(known, timeout, f"{topic} being known everywhere", pause=0.05)

    def end_offset(self, topic, partition=0):
        """The partition's high watermark as its leader tells it."""

        def told():
            leader = self.leader(topic, partition)
            # In a tuple, since 0 is an answer too.
            return (protocol.end_offset(self.nodes[leader].address, topic, partition),)

        return wait_until(told, what=f"the leader of {topic}-{partition} telling its end")[0]
