"""A compose file brought up as a project of its own.

Promises: ports and names that nobody else uses; every wait has a deadline and polls; `down`
removes containers, networks and volumes.
"""

import json
import os
import random
import shutil
import socket
import subprocess
import uuid

from harness import protocol, wait_until

# What stands before 92, 94 and 95 in a broker's ports: below the range in which the kernel picks
# ports for outgoing connections.
PREFIXES = range(100, 320)
HEALTHY_SECONDS_MAX = 90


def compose_command():
    """docker-compose, or the plugin where only that is installed."""
    return ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]


def _is_free(prefix):
    for port in (92, 94, 95):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", prefix * 100 + port))
            except OSError:
                return False
    return True


class Project:
    """Brokers 1..count, services `ottla-1` and so on."""

    def __init__(self, file, count, image):
        self.file = file
        self.name = f"ottla-test-{uuid.uuid4().hex[:8]}"
        free = [prefix for prefix in random.sample(PREFIXES, len(PREFIXES)) if _is_free(prefix)]
        self.prefixes = dict(zip(range(1, count + 1), free))
        self.environment = {**os.environ, "OTTLA_IMAGE": image}
        for id, prefix in self.prefixes.items():
            self.environment[f"OTTLA_PORTS_{id}"] = str(prefix)

    def __enter__(self):
        try:
            return self.up()
        except BaseException:
            self.down()
            raise

    def __exit__(self, *_):
        self.down()

    # What it is.

    @property
    def ids(self):
        return list(self.prefixes)

    def address(self, id):
        """Where a client outside reaches a broker."""
        return ("localhost", self.prefixes[id] * 100 + 92)

    def http_port(self, id):
        return self.prefixes[id] * 100 + 95

    @property
    def bootstrap(self):
        return ",".join(f"{host}:{port}" for host, port in map(self.address, self.ids))

    # What is done to it.

    def compose(self, *arguments, check=True, timeout=180):
        command = [*compose_command(), "--project-name", self.name, "--file", str(self.file)]
        done = subprocess.run([*command, *arguments], env=self.environment, timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if check and done.returncode != 0:
            raise RuntimeError(f"compose {' '.join(arguments)} failed:\n{done.stdout}")
        return done.stdout

    def up(self):
        """Starts all that does not run and waits until all are healthy."""
        self.compose("up", "--detach", "--no-build")
        self.wait_healthy()
        return self

    def down(self, volumes=True):
        extra = ["--volumes"] if volumes else []
        self.compose("down", "--remove-orphans", "--timeout", "10", *extra)

    def kill(self, id):
        """SIGKILL to the container's process."""
        subprocess.run(["docker", "kill", self.container(id)], check=True, capture_output=True)

    def start(self, id):
        self.compose("start", f"ottla-{id}")

    def run_inside(self, id, *command):
        """Runs a command in a broker's container and returns what it says."""
        return self.compose("exec", "-T", f"ottla-{id}", *command)

    # What it says of itself.

    def container(self, id):
        labels = [f"com.docker.compose.project={self.name}", f"com.docker.compose.service=ottla-{id}"]
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        said = subprocess.run(["docker", "ps", "--all", "--quiet", *filters], check=True,
                              stdout=subprocess.PIPE, text=True)
        return said.stdout.strip()

    def inspect(self, id):
        said = subprocess.run(["docker", "inspect", self.container(id)], check=True,
                              stdout=subprocess.PIPE, text=True)
        return json.loads(said.stdout)[0]

    def wait_healthy(self, ids=None):
        for id in ids or self.ids:
            state = lambda: self.inspect(id)["State"]["Health"]["Status"] == "healthy"
            wait_until(state, HEALTHY_SECONDS_MAX, f"ottla-{id} being healthy", pause=0.3)

    def metadata(self, topics=(), of=1):
        return protocol.metadata(self.address(of), topics)

    def wait_in_sync(self, topic, of=1, timeout=60):
        def in_sync():
            partitions = self.metadata([topic], of).topics[topic].values()
            return partitions and all(
                p.leader > 0 and set(p.isr) == set(p.replicas) for p in partitions
            )

        wait_until(in_sync, timeout, f"{topic} being in sync", pause=0.1)

    def end_offset(self, topic, partition):
        leader = self.metadata([topic]).topics[topic][partition].leader
        return protocol.end_offset(self.address(leader), topic, partition)

    def log_tail(self, lines=30):
        return self.compose("logs", "--no-color", f"--tail={lines}", check=False)
