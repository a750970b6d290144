"""What strangers send to a node's ports: it costs them their connection, and the cluster nothing."""

import base64
import re
import socket
import time
import urllib.request
from pathlib import Path

import grpc
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from harness import Cluster, protocol, wait_until

LAST_TERM = 2**64 - 1
STRANGER = bytes([7]) * 16


@pytest.fixture(autouse=True)
def only_ottla(request):
    if request.config.getoption("--system") != "ottla":
        pytest.skip("only Ottla's controllers speak gRPC")


# Protobuf by hand: `proto/ottla/raft.proto` is not what an outsider has to be given.


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def number(field, value):
    return varint(field << 3) + varint(value)


def part(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def member(id, directory):
    return number(1, id) + part(2, directory)


def vote_request(cluster_id, target, candidate, term):
    ballot = number(1, term) + part(2, candidate)
    last = number(1, term - 1) + part(2, candidate) + number(3, 2**40)
    return (part(1, cluster_id.encode()) + part(2, target) + part(3, ballot) + part(4, last)
            + number(5, 1))


def ask(node, request, method="Vote"):
    """The answer's status code."""
    with grpc.insecure_channel(f"{node.host}:{node.ports[1]}") as channel:
        call = channel.unary_unary(f"/ottla.raft.v1.Raft/{method}",
                                   request_serializer=bytes, response_deserializer=bytes)
        try:
            call(request, timeout=10)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


def identity(cluster, id):
    """Cluster and directory id of a controller, from its own file."""
    path = cluster.data_directory(id) / "controller" / "meta.properties"
    values = dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return values["cluster.id"], base64.urlsafe_b64decode(values["directory.id"] + "==")


def test_one_forged_vote_does_not_end_all_elections():
    """A vote for the last term that there is, once given, leaves none to elect anybody in."""
    with Cluster("ottla", count=3) as cluster:
        cluster.controller()
        told = lambda: {id: identity(cluster, id) for id in cluster.nodes}
        known = wait_until(told, 30, "the cluster's id being known everywhere")
        for id, node in cluster.nodes.items():
            ours, directory = known[id]
            target = member(id, directory)
            other = id % 3 + 1
            fellow = member(other, known[other][1])
            forged = [
                vote_request("", target, fellow, LAST_TERM),
                vote_request(ours, target, fellow, LAST_TERM),
                vote_request(ours, target, member(9, STRANGER), 1000),
                vote_request("AAAAAAAAAAAAAAAAAAAAAQ", target, fellow, 1000),
            ]
            for message in forged:
                assert ask(node, message) == grpc.StatusCode.FAILED_PRECONDITION
        active = cluster.controller()
        cluster.kill(active)
        cluster.controller(other_than=active)
        cluster.start_node(active)
        for id in cluster.nodes:
            cluster.kill(id)
        cluster.start()
        leader = cluster.controller()
        assert protocol.quorum_leader(cluster.nodes[leader].address) == leader


# Descriptors.


class Limited(Cluster):
    """Nodes that may have so many files and sockets open."""

    def __init__(self, descriptors, **others):
        self.descriptors = descriptors
        super().__init__("ottla", **others)

    def prefix_of(self, id):
        return ["prlimit", f"--nofile={self.descriptors}:{self.descriptors}"]

    def open_descriptors(self, id):
        return len(list(Path(f"/proc/{self.pid(id)}/fd").iterdir()))

    def output(self):
        return "".join(node.process.log_path.read_text() for node in self.nodes.values())


def metric(node, name):
    with urllib.request.urlopen(f"http://{node.host}:{node.ports[3]}/metrics", timeout=5) as page:
        lines = re.findall(rf"^ottla_{re.escape(name)} (\d+)$", page.read().decode(), re.MULTILINE)
    return int(lines[0])


def test_idle_connections_beyond_the_limit_cost_no_directory_and_no_broker():
    """The checkpoint's file could not be opened, its directory went offline, and the broker ended."""
    overrides = {"replica.high.watermark.checkpoint.interval.ms": 200,
                 "log.flush.offset.checkpoint.interval.ms": 200}
    with Limited(256, count=3, overrides=overrides) as cluster:
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        admin.create_topics([NewTopic("t", 3, 3)])["t"].result(30)
        cluster.wait_in_sync("t")
        producer = Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all"})
        for partition in range(3):
            producer.produce("t", b"v", partition=partition)
        assert producer.flush(30) == 0, "it is inside"
        held = []
        for number in range(200):
            node = cluster.nodes[number % 3 + 1]
            for port in node.ports:
                try:
                    held.append(socket.create_connection((node.host, port), timeout=2))
                except OSError:
                    pass  # refused: so it should be
        # Checkpoints come by meanwhile, of what those who are inside go on to write.
        for number in range(20):
            producer.produce("t", b"v", partition=number % 3)
            producer.flush(2)
            time.sleep(0.1)
        assert sorted(cluster.running()) == [1, 2, 3]
        for connection in held:
            connection.close()
        refused = lambda node: metric(node, 'connections_refused_total{reason="TooMany"}')
        for node in cluster.nodes.values():
            assert wait_until(lambda node=node: refused(node) + 1, 30, "the page") > 1
        assert producer.flush(60) == 0
        cluster.wait_in_sync("t")
        assert not re.search(r"director(y|ies) (goes|is|are) offline", cluster.output())
        assert sum(cluster.end_offset("t", partition) for partition in range(3)) >= 20


PARTITIONS = 10_000
TOPICS = 20
# Creation and recovery of so many on a small machine.
PATIENCE = 900


def test_a_killed_node_recovers_more_partitions_than_it_may_open_files():
    """Recovery opened all files at once, and the node never started again."""
    each = PARTITIONS // TOPICS
    names = [f"t{number}" for number in range(TOPICS)]
    with Limited(4096, count=3) as cluster:
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        for name in names:
            admin.create_topics([NewTopic(name, each, 3)], operation_timeout=120,
                                request_timeout=120)[name].result(PATIENCE)
        for name in names:
            cluster.wait_in_sync(name, PATIENCE)
        producer = Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all",
                             "linger.ms": 50, "message.timeout.ms": 1000 * PATIENCE})
        for name in names:
            for partition in range(each):
                producer.produce(name, b"v", partition=partition)
                producer.poll(0)
        assert producer.flush(PATIENCE) == 0
        assert all(cluster.open_descriptors(id) < 4096 for id in cluster.nodes)
        cluster.kill(2)
        cluster.start_node(2, wait=False)
        cluster.wait_ready(PATIENCE)
        for name in names:
            cluster.wait_in_sync(name, PATIENCE)
        assert cluster.open_descriptors(2) < 4096
        assert not re.search(r"director(y|ies) (goes|is|are) offline", cluster.output())
        for name in (names[0], names[-1]):
            assert cluster.end_offset(name, each - 1) == 1
