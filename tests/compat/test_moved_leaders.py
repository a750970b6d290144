"""Whoever comes to the wrong broker, or with an epoch of the past, is told in the same answer who
leads and where (KIP-951): Produce from version 10, Fetch from version 16. Asked by hand, as clients
hide it.
"""

import socket
import threading
import time
import uuid
from dataclasses import dataclass

import pytest
from clients.base import TIMEOUT
from clients.java import TOOLS, run
from harness import batch, messages, protocol, wait_until

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
    topic_id: uuid.UUID
    leader: int
    epoch: int


def place(address, topic):
    """What a broker's Metadata says of partition 0."""
    answer = messages.ask(address, "Metadata", 12, topics=[{"name": topic}],
                          allowAutoTopicCreation=False)
    [topic] = answer.topics
    [partition] = topic.partitions
    assert topic.errorCode == 0
    return Place(topic.topicId, partition.leaderId, partition.leaderEpoch)


def hinted(answer, partition):
    leader, endpoints = partition.get("currentLeader"), answer.get("nodeEndpoints")
    return Told(
        partition.errorCode,
        (leader.leaderId, leader.leaderEpoch) if leader else None,
        {node.nodeId: (node.host, node.port) for node in endpoints} if endpoints else None)


def records_for(topic, topic_id, version):
    """The fields of a Produce."""
    now = int(time.time() * 1000)
    records = batch.Batch([(now, b"k", b"v")]).encode()
    named = {"topicId": topic_id} if version >= 13 else {"name": topic}
    return {"acks": -1, "timeoutMs": 5000, "topicData": [
        {**named, "partitionData": [{"index": 0, "records": records}]}]}


def produced(answer):
    [topic] = answer.responses
    [partition] = topic.partitionResponses
    assert partition.recordErrors == [], "no record is at fault"
    return hinted(answer, partition)


def produce(address, topic, topic_id, version):
    fields = records_for(topic, topic_id, version)
    return produced(messages.ask(address, "Produce", version, **fields))


def fetch(address, topic_id, version, offset=0, epoch=-1, wait_ms=0):
    with messages.Connection(address, timeout=2 * TIMEOUT) as connection:
        answer = connection.ask("Fetch", version, maxWaitMs=wait_ms, minBytes=1, topics=[
            {"topicId": topic_id, "partitions": [
                {"partition": 0, "currentLeaderEpoch": epoch, "fetchOffset": offset,
                 "partitionMaxBytes": 1 << 20}]}])
    assert answer.errorCode == 0
    [topic] = answer.responses
    [partition] = topic.partitions
    return hinted(answer, partition)


@dataclass
class Moved:
    """A topic of one partition whose leadership has moved from `old` to `now`; both run."""

    topic: str
    topic_id: uuid.UUID
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
    told = fetch(cluster.nodes[1].address, uuid.uuid4(), 17)
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
    stopping = threading.Thread(target=cluster.terminate, args=[leader], daemon=True)
    answers, refused = [], []
    with messages.Connection(node.address, timeout=TIMEOUT) as connection:
        try:
            while True:
                connection.send("Produce", 12, **records_for(topic, now.topic_id, 12))
                if len(answers) == 1:
                    stopping.start()
                answers.append(produced(connection.answer()))
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
