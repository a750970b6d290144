"""Whoever comes to the wrong broker, or with an epoch of the past, is told in the same answer who
leads and where (KIP-951): Produce from version 10, Fetch from version 16. Asked by hand, as clients
hide it.
"""

import socket
import struct
import threading
import time
import uuid
from dataclasses import dataclass

import pytest
from clients.base import TIMEOUT
from clients.java import TOOLS, run
from harness import batch, protocol, wait_until

NOT_LEADER_OR_FOLLOWER = 6
FENCED_LEADER_EPOCH = 74
NO_ERROR = 0
# A fetch that is parked may wait so long; an answer that is due comes long before.
PARKED_MS = 60_000


@dataclass
class Told:
    """An answer's error, and what it says besides."""

    error: int
    leader: tuple = None  # (node, epoch); None if the answer has no such field
    endpoints: dict = None  # node -> (host, port); None if the answer has no such field


@dataclass
class Place:
    topic_id: bytes
    leader: int
    epoch: int


def compact(data):
    """Bytes with a length, of less than 128 bytes or not."""
    size, out = len(data) + 1, b""
    while size >= 0x80:
        out += bytes([size & 0x7F | 0x80])
        size >>= 7
    return out + bytes([size]) + data


def tagged(reader, known):
    """Reads tagged fields; those that are `known` by their tag are parsed."""
    found = {}
    for _ in range(reader.varint()):
        tag, size = reader.varint(), reader.varint()
        piece = protocol._Reader(reader.take(size))
        if tag in known:
            found[tag] = known[tag](piece)
            assert piece.at == size, f"tag {tag} has {size - piece.at} bytes too many"
    return found


def leader_id_and_epoch(reader):
    told = reader.number("i"), reader.number("i")
    reader.tags()
    return told


def endpoints(reader):
    told = {}
    for _ in range(reader.varint() - 1):
        node, host, port = reader.number("i"), reader.compact_string(), reader.number("i")
        reader.compact_string()  # rack
        reader.tags()
        told[node] = (host, port)
    return told


def place(address, topic):
    """What a broker's Metadata (version 12) says of partition 0."""
    asked = bytes(16) + compact(topic.encode()) + b"\0"
    reader = protocol.call(address, 3, 12, b"\x02" + asked + b"\0\0\0", flexible=True)
    reader.number("i")
    for _ in range(reader.varint() - 1):
        reader.number("i"), reader.compact_string(), reader.number("i"), reader.compact_string()
        reader.tags()
    reader.compact_string(), reader.number("i")
    assert reader.varint() - 1 == 1, "one topic"
    assert reader.number("h") == 0
    reader.compact_string()
    topic_id = reader.take(16)
    reader.number("b")
    assert reader.varint() - 1 == 1, "one partition"
    reader.number("h"), reader.number("i")
    return Place(topic_id, reader.number("i"), reader.number("i"))


def produce_body(topic, topic_id, version):
    now = int(time.time() * 1000)
    records = batch.Batch([(now, b"k", b"v")]).encode()
    body = b"\0" + struct.pack(">hi", -1, 5000)
    body += b"\x02" + (topic_id if version >= 13 else compact(topic.encode()))
    return body + b"\x02" + struct.pack(">i", 0) + compact(records) + b"\0" + b"\0" + b"\0"


def produce(address, topic, topic_id, version):
    body = produce_body(topic, topic_id, version)
    reader = protocol.call(address, 0, version, body, timeout=TIMEOUT, flexible=True)
    return produced(reader, topic, topic_id, version)


def produced(reader, topic, topic_id, version):
    assert reader.varint() - 1 == 1, "one topic"
    if version >= 13:
        assert reader.take(16) == topic_id
    else:
        assert reader.compact_string() == topic
    assert reader.varint() - 1 == 1, "one partition"
    assert reader.number("i") == 0
    error = reader.number("h")
    reader.number("q"), reader.number("q"), reader.number("q")
    assert reader.varint() - 1 == 0, "no record is at fault"
    reader.compact_string()
    of_partition = tagged(reader, {0: leader_id_and_epoch})
    reader.tags()
    reader.number("i")  # throttle time
    of_answer = tagged(reader, {0: endpoints})
    return Told(error, of_partition.get(0), of_answer.get(0))


def fetch(address, topic_id, version, offset=0, epoch=-1, wait_ms=0):
    body = struct.pack(">iiibii", wait_ms, 1, 1 << 20, 0, 0, -1)
    body += b"\x02" + topic_id + b"\x02"
    body += struct.pack(">iiqiqi", 0, epoch, offset, -1, -1, 1 << 20) + b"\0" + b"\0"
    body += b"\x01" + b"\x01" + b"\0"  # no forgotten topics, no rack
    reader = protocol.call(address, 1, version, body, timeout=2 * TIMEOUT, flexible=True)
    reader.number("i")
    assert reader.number("h") == 0
    reader.number("i")  # session
    assert reader.varint() - 1 == 1, "one topic"
    assert reader.take(16) == topic_id
    assert reader.varint() - 1 == 1, "one partition"
    assert reader.number("i") == 0
    error = reader.number("h")
    reader.number("q"), reader.number("q"), reader.number("q")
    for _ in range(reader.varint() - 1):
        raise AssertionError("no aborted transactions")
    reader.number("i")
    reader.take(max(reader.varint() - 1, 0))
    of_partition = tagged(reader, {1: leader_id_and_epoch})
    reader.tags()
    of_answer = tagged(reader, {0: endpoints})
    return Told(error, of_partition.get(1), of_answer.get(0))


@dataclass
class Moved:
    """A topic of one partition whose leadership has moved from `old` to `now`; both run."""

    topic: str
    topic_id: bytes
    old: int
    now: int
    old_epoch: int
    epoch: int


@pytest.fixture
def moved(cluster, make_topic):
    topic = make_topic(partitions=1)
    old = cluster.leader(topic)
    before = place(cluster.nodes[old].address, topic)
    assert before.leader == old
    cluster.kill(old)
    try:
        now = cluster.leader(topic, other_than=old)
    finally:
        cluster.start_node(old)
    cluster.wait_everywhere(topic)
    after = place(cluster.nodes[now].address, topic)
    assert after.leader == now and after.epoch > before.epoch
    told = lambda id: place(cluster.nodes[id].address, topic)
    wait_until(lambda: all(told(id) == after for id in cluster.nodes), TIMEOUT, "all knowing it")
    return Moved(topic, after.topic_id, old, now, before.epoch, after.epoch)


def check(told, cluster, error, node, epoch):
    assert told.error == error
    assert told.leader == (node, epoch), told
    assert told.endpoints == {node: cluster.nodes[node].address}, told


@pytest.mark.parametrize("version", [10, 12, 13])
def test_a_producer_at_the_old_leader_is_told_of_the_new_one(cluster, moved, version):
    others = [id for id in cluster.nodes if id != moved.now]
    for id in others:
        told = produce(cluster.nodes[id].address, moved.topic, moved.topic_id, version)
        check(told, cluster, NOT_LEADER_OR_FOLLOWER, moved.now, moved.epoch)
    told = produce(cluster.nodes[moved.now].address, moved.topic, moved.topic_id, version)
    assert (told.error, told.leader, told.endpoints) == (NO_ERROR, None, None), told


def test_older_versions_carry_no_hint(cluster, moved):
    told = produce(cluster.nodes[moved.old].address, moved.topic, moved.topic_id, 9)
    assert (told.error, told.leader, told.endpoints) == (NOT_LEADER_OR_FOLLOWER, None, None), told
    told = fetch(cluster.nodes[moved.old].address, moved.topic_id, 15, epoch=moved.old_epoch)
    assert (told.error, told.endpoints) == (FENCED_LEADER_EPOCH, None), told


@pytest.mark.parametrize("version", [16, 17])
def test_a_consumer_with_an_old_epoch_is_told_of_the_new_leader(cluster, moved, version):
    """By the old leader, by another follower, and by the new leader itself."""
    for node in cluster.nodes.values():
        told = fetch(node.address, moved.topic_id, version, epoch=moved.old_epoch)
        check(told, cluster, FENCED_LEADER_EPOCH, moved.now, moved.epoch)
    told = fetch(cluster.nodes[moved.now].address, moved.topic_id, version, epoch=moved.epoch)
    assert (told.error, told.leader, told.endpoints) == (NO_ERROR, None, None), told


@pytest.mark.parametrize("version", [16, 17])
def test_a_consumer_at_a_broker_without_a_replica_is_told_of_the_leader(
    cluster, make_topic, version
):
    topic = make_topic(partitions=1, factor=2)
    held = cluster.partition(topic)
    stranger, = set(cluster.nodes) - set(held.replicas)
    now = place(cluster.nodes[held.leader].address, topic)
    told = fetch(cluster.nodes[stranger].address, now.topic_id, version, epoch=now.epoch)
    check(told, cluster, NOT_LEADER_OR_FOLLOWER, now.leader, now.epoch)
    told = produce(cluster.nodes[stranger].address, topic, now.topic_id, 13)
    check(told, cluster, NOT_LEADER_OR_FOLLOWER, now.leader, now.epoch)


def test_a_topic_that_nobody_knows_has_no_leader(cluster):
    told = fetch(cluster.nodes[1].address, uuid.uuid4().bytes, 17)
    assert told.error == 100 and told.leader is None and told.endpoints is None, told


def test_a_parked_fetch_is_told_of_the_new_leader_when_leadership_goes(cluster, bootstrap, moved):
    """It does not wait until its time is over."""
    answers = []
    address = cluster.nodes[moved.now].address
    end = protocol.end_offset(address, moved.topic, 0)

    def wait():
        answers.append(fetch(address, moved.topic_id, 17, end, moved.epoch, PARKED_MS))

    parked = threading.Thread(target=wait, daemon=True)
    parked.start()
    elected = run(f"{TOOLS}.LeaderElectionCommand", "--bootstrap-server", bootstrap,
                  "--election-type", "preferred", "--topic", moved.topic, "--partition", "0")
    assert "Successfully completed" in elected
    parked.join(TIMEOUT)
    assert not parked.is_alive(), "the parked fetch has no answer"
    now = place(address, moved.topic)
    assert now.leader == moved.old and now.epoch > moved.epoch
    check(answers[0], cluster, FENCED_LEADER_EPOCH, now.leader, now.epoch)


def test_a_broker_that_stops_sends_its_clients_on_and_takes_no_new_ones(
    cluster, make_topic, system
):
    """Who is connected is told of the new leader. Who comes while the process is about to end is
    refused: the system would accept, and the client would wait for an answer until the end."""
    if system == "kafka":
        pytest.skip("how Kafka's brokers leave is their own affair")
    topic = make_topic(partitions=1)
    leader = cluster.leader(topic)
    node = cluster.nodes[leader]
    now = place(node.address, topic)
    header = struct.pack(">hhi", 0, 12, 1) + struct.pack(">h", -1) + b"\0"
    frame = header + produce_body(topic, now.topic_id, 12)
    frame = struct.pack(">i", len(frame)) + frame
    stopping = threading.Thread(target=cluster.terminate, args=[leader], daemon=True)
    answers, refused = [], []
    with socket.create_connection(node.address, timeout=TIMEOUT) as connection:
        try:
            while True:
                connection.sendall(frame)
                if len(answers) == 1:
                    stopping.start()
                size = struct.unpack(">i", protocol._exactly(connection, 4))[0]
                reader = protocol._Reader(protocol._exactly(connection, size))
                assert reader.number("i") == 1
                reader.tags()
                answers.append(produced(reader, topic, now.topic_id, 12))
        except ConnectionError:
            pass
        while stopping.is_alive():
            try:
                socket.create_connection(node.address, timeout=TIMEOUT).close()
                refused.append(False)
            except ConnectionRefusedError:
                refused.append(True)
    stopping.join(TIMEOUT)
    cluster.start_node(leader)
    cluster.wait_everywhere(topic)
    assert answers[0].error == NO_ERROR, answers[0]
    successor = cluster.partition(topic).leader
    assert successor != leader
    assert answers[-1].leader, "closed without a word"
    check(answers[-1], cluster, NOT_LEADER_OR_FOLLOWER, successor, answers[-1].leader[1])
    assert answers[-1].leader[1] > now.epoch
    assert refused and all(refused), f"{refused.count(False)} of {len(refused)} were accepted"
