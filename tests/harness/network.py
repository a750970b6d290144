"""A network of namespaces on a bridge, in which links are cut, lossy and slow. Needs root.

Each node has a namespace of its own with one interface; the bridge is in one more, so that a
firewall of the machine (an engine's, say) does not reach it, and the process that makes the network
is on it too, as `CLIENT`. All faults are rules of the bridge: silent, one-way each, and counted.

Promises: names are the process's own; `remove` takes everything away, and so does the next
`Network` of the machine if this process was killed before it could.
"""

import atexit
import ctypes
import itertools
import json
import os
import random
import shutil
import socket
import subprocess
import threading
from pathlib import Path

CLIENT = 254
_ECHO_PORT = 7
# A socket holds about 250 datagrams that nobody has received yet.
_AT_ONCE = 50
_PREFIX = "ottla-chaos"
_CLONE_NEWNET = 0x40000000
_made = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


def available():
    """None if networks can be made here, else why not."""
    missing = [name for name in ("ip", "nft", "tc", "nsenter") if not shutil.which(name)]
    if os.geteuid() != 0 or missing:
        return f"needs root, and {', '.join(missing) or 'ip, nft and tc'}"
    try:
        network = Network()
    except subprocess.CalledProcessError as error:
        return f"the kernel lacks namespaces, bridges or nftables: {error.stderr.strip()}"
    network.remove()
    return None


class Network:
    """`add` nodes, run them behind `prefix`, then `cut`, `lose`, `slow` and `heal`."""

    def __init__(self):
        _remove_orphans()
        self.name = f"{_PREFIX}-{os.getpid()}-{next(_made)}"
        self._net = f"10.{random.randrange(200, 250)}.{random.randrange(256)}"
        self._switch = f"{self.name}-switch"
        self._sockets = {}
        self._rules = []
        self._slow = {}
        atexit.register(self.remove)
        try:
            _run("ip", "netns", "add", self._switch)
            self._in_switch("ip", "link", "add", "bridge", "type", "bridge", "forward_delay", "0")
            self._in_switch("ip", "link", "set", "bridge", "up")
            interface = self.name.replace(_PREFIX, "oc").replace("-", "")
            _run("ip", "link", "add", interface, "type", "veth", "peer", "name", f"n{CLIENT}",
                 "netns", self._switch)
            _run("ip", "address", "add", f"{self.address(CLIENT)}/24", "dev", interface)
            _run("ip", "link", "set", interface, "up")
            self._attach(CLIENT)
            self._sockets[CLIENT] = self._echo(CLIENT, None)
            self._nft("add table bridge chaos\n"
                      "add chain bridge chaos faults { type filter hook forward priority 0; }\n")
        except BaseException:
            self.remove()
            raise

    def add(self, id):
        """A namespace for a node; returns its address."""
        space = self._space(id)
        _run("ip", "netns", "add", space)
        self._in_switch("ip", "link", "add", f"n{id}", "type", "veth", "peer", "name", "eth0",
                        "netns", space)
        inside = ("ip", "-n", space)
        _run(*inside, "address", "add", f"{self.address(id)}/24", "dev", "eth0")
        _run(*inside, "link", "set", "eth0", "up")
        _run(*inside, "link", "set", "lo", "up")
        self._attach(id)
        self._sockets[id] = self._echo(id, f"/run/netns/{space}")
        return self.address(id)

    def address(self, id):
        return f"{self._net}.{id}"

    def prefix(self, id):
        """What stands before a command to run it on a node."""
        return ["nsenter", f"--net=/run/netns/{self._space(id)}", "--"]

    @property
    def ids(self):
        return [id for id in self._sockets if id != CLIENT]

    # Faults. Each is one-way: from one to another.

    def cut(self, *pairs, port=None):
        """Drops what goes from the first of a pair to the second; with a port, only what belongs to
        connections to it."""
        for source, target in pairs:
            match = f"ip saddr {self.address(source)} ip daddr {self.address(target)}"
            if port is None:
                self._rules.append(match)
            else:
                self._rules += [f"{match} tcp dport {port}", f"{match} tcp sport {port}"]
        self._apply()

    def lose(self, percent, *pairs):
        """Drops a share of the packets from the first of a pair to the second."""
        for source, target in pairs:
            self._rules.append(f"ip saddr {self.address(source)} ip daddr {self.address(target)} "
                               f"numgen random mod 100 < {percent}")
        self._apply()

    def slow(self, id, kilobits):
        """Bounds what a node sends and what it is sent, in kilobits a second each."""
        shape = ("root", "tbf", "rate", f"{kilobits}kbit", "burst", "32kb", "latency", "300ms")
        self._in_switch("tc", "qdisc", "replace", "dev", f"n{id}", *shape)
        _run("tc", "-n", self._space(id), "qdisc", "replace", "dev", "eth0", *shape)
        self._slow[id] = kilobits

    def heal(self):
        """Takes all faults back."""
        self._rules = []
        self._apply()
        for id in self._slow:
            self._in_switch("tc", "qdisc", "del", "dev", f"n{id}", "root")
            _run("tc", "-n", self._space(id), "qdisc", "del", "dev", "eth0", "root")
        self._slow = {}

    # What took effect.

    def reaches(self, source, target, tries=3, patience=0.15):
        """How many of so many datagrams come through."""
        sender, receiver = self._sockets[source], self._sockets[target]
        receiver.settimeout(patience)
        came = 0
        for start in range(0, tries, _AT_ONCE):
            # Late ones of another round do not count.
            word, count = os.urandom(8), min(_AT_ONCE, tries - start)
            for _ in range(count):
                sender.sendto(word, (self.address(target), _ECHO_PORT))
            came += _receive(receiver, word, count)
        return came

    def dropped(self):
        """How many packets the rules took, all together."""
        told = self._in_switch("nft", "-j", "list", "table", "bridge", "chaos")
        rules = [one["rule"] for one in json.loads(told)["nftables"] if "rule" in one]
        return sum(part["counter"]["packets"] for rule in rules for part in rule["expr"]
                   if "counter" in part)

    def held_back(self, id):
        """How often a slow link made a packet wait, or dropped it."""
        told = self._in_switch("tc", "-s", "-j", "qdisc", "show", "dev", f"n{id}")
        return sum(one.get("overlimits", 0) + one.get("drops", 0) for one in json.loads(told))

    def remove(self):
        atexit.unregister(self.remove)
        for one in self._sockets.values():
            one.close()
        self._sockets = {}
        _remove(self.name)

    # How.

    def _space(self, id):
        return f"{self.name}-{id}"

    def _attach(self, id):
        self._in_switch("ip", "link", "set", f"n{id}", "master", "bridge", "up")

    def _in_switch(self, *command):
        return _run("ip", "netns", "exec", self._switch, *command)

    def _nft(self, script):
        _run("ip", "netns", "exec", self._switch, "nft", "-f", "-", text=script)

    def _apply(self):
        """All rules at once, so that there is no moment with half of them."""
        lines = ["flush chain bridge chaos faults"]
        lines += [f"add rule bridge chaos faults {rule} counter drop" for rule in self._rules]
        self._nft("\n".join(lines) + "\n")

    def _echo(self, id, space):
        """A socket in a namespace, made by a thread that goes there and ends."""
        made = []

        def make():
            try:
                if space is not None:
                    with open(space) as handle:
                        if _libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
                            raise OSError(ctypes.get_errno(), f"setns {space}")
                one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                one.bind((self.address(id), _ECHO_PORT))
                made.append(one)
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]


def _receive(receiver, word, count):
    """How many of so many datagrams come before none has come for a while."""
    came = 0
    try:
        while came < count:
            came += receiver.recv(64) == word
    except TimeoutError:
        pass
    return came


def _remove(name):
    """All namespaces of a network; interfaces go with them."""
    for space in _spaces():
        if space == name or space.startswith(f"{name}-"):
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


def _spaces():
    told = subprocess.run(["ip", "netns", "list"], check=False, capture_output=True, text=True)
    return [line.split()[0] for line in told.stdout.splitlines() if line.strip()]


def _remove_orphans():
    """What processes left behind that are gone."""
    for space in _spaces():
        words = space.removeprefix(f"{_PREFIX}-").split("-")
        if space.startswith(f"{_PREFIX}-") and not Path(f"/proc/{words[0]}").exists():
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


def _run(*command, text=None):
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True,
                          text=True, input=text)
    return done.stdout
