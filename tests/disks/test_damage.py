"""Bytes on disk that turn into others: found, never served, and repaired from another replica."""

import shutil
import struct
import time
import urllib.request

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource,
                                   NewTopic, ResourceType)
from harness import Cluster, protocol, wait_until
from harness.logs import ReplicaLog, compare_replicas, read_checkpoint
from kafka.record import MemoryRecords
from load import read_all

TOPIC = "t"
RECORDS = 4000
STORAGE_ERROR = 56
# A round of the scrubber begins as soon as the one before it is over.
SCRUBBED = {"ottla.scrub.interval.ms": 500, "ottla.scrub.bytes.per.second": 100 << 20,
            "log.flush.offset.checkpoint.interval.ms": 200}
_PATIENCE = 60


def value(number):
    return f"{number:08d}".encode() + b"x" * 992


class Data:
    """A topic of one partition with several segments, and what is in it."""

    def __init__(self, cluster, replicas=3, configs=None):
        self.cluster = cluster
        self.expected = []
        configs = {"segment.bytes": 1 << 20, **(configs or {})}
        topic = NewTopic(TOPIC, 1, replicas, config={k: str(v) for k, v in configs.items()})
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        admin.create_topics([topic])[TOPIC].result(30)
        cluster.wait_everywhere(TOPIC)
        self.write(RECORDS)

    def write(self, count):
        """Acknowledged by all."""
        producer = Producer({"bootstrap.servers": self.cluster.bootstrap, "linger.ms": 5,
                             "enable.idempotence": True, "batch.size": 20_000})
        failed = []
        for number in range(len(self.expected), len(self.expected) + count):
            producer.produce(TOPIC, value(number), str(number), partition=0,
                             on_delivery=lambda e, _: failed.append(e) if e else None)
            self.expected.append(value(number))
            producer.poll(0)
        assert producer.flush(60) == 0 and not failed

    def check(self):
        """All that was acknowledged is there, once and in order, and replicas are the same."""
        end = self.cluster.end_offset(TOPIC)
        read = read_all(self.cluster.bootstrap, TOPIC, {0: end})[0]
        assert [found for _, found in read] == self.expected
        wait_until(lambda: not self.differences(end), 10, "replicas being the same")

    def differences(self, end):
        return compare_replicas([self.replica(id) for id in self.cluster.nodes], end).differences

    def replica(self, id):
        return self.cluster.data_directory(id) / f"{TOPIC}-0"

    def set_aside(self, id):
        return [path for path in self.cluster.data_directory(id).iterdir()
                if path.name.startswith(f"{TOPIC}-0.") and path.name.endswith("-quarantined")]

    def damage(self, id):
        """Turns a byte of a record in the middle of the first segment into another."""
        segment = sorted(self.replica(id).glob("*.log"))[0]
        with open(segment, "r+b") as file:
            content = file.read()
            file.seek(content.index(b"x" * 500, len(content) // 2) + 100)
            file.write(b"y")

    def misdate(self, id, epoch):
        self.damage_header(id, 12, ">i", lambda _: epoch)

    def misplace(self, id):
        self.damage_header(id, 0, ">q", lambda base: base + 128)

    def damage_header(self, id, at, format, change):
        """Changes a field of a batch in the middle of the first segment that no checksum covers."""
        segment = sorted(self.replica(id).glob("*.log"))[0]
        with open(segment, "r+b") as file:
            content = file.read()
            batch = 0
            while batch < len(content) // 2:
                batch += 12 + struct.unpack_from(">i", content, batch + 8)[0]
            old, = struct.unpack_from(format, content, batch + at)
            assert change(old) != old
            file.seek(batch + at)
            file.write(struct.pack(format, change(old)))

    def wait_synced(self, id):
        """Waits until a start would not look at the first segment: damage in it is no torn tail."""
        second = int(sorted(self.replica(id).glob("*.log"))[1].stem)
        file = self.cluster.data_directory(id) / "recovery-point-offset-checkpoint"
        wait_until(lambda: read_checkpoint(file)[f"{TOPIC}-0"] >= second, 30, "a recovery point")

    def in_sync(self):
        self.cluster.wait_in_sync(TOPIC, _PATIENCE)


def metric(cluster, id, name):
    port = cluster.nodes[id].ports[3]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
        for line in page.read().decode().splitlines():
            if line.startswith(f"ottla_{name} "):
                return float(line.split()[1])
    raise KeyError(name)


def records_of(bytes_):
    """The records of batches, parsed and their checksums checked by another implementation."""
    batches = MemoryRecords(bytes_)
    while batches.has_next():
        batch = batches.next_batch()
        assert batch.validate_crc()
        yield from batch


def wait_rebuilt(data, id):
    wait_until(lambda: data.set_aside(id), _PATIENCE, f"node {id} setting its replica aside")
    data.in_sync()
    wait_until(lambda: metric(data.cluster, id, "damaged_replicas") == 0, _PATIENCE, "no damage")


@pytest.fixture
def cluster():
    with Cluster("ottla", count=3, overrides={"min.insync.replicas": 2, **SCRUBBED}) as cluster:
        yield cluster


def test_a_damaged_follower_is_set_aside_and_built_anew(cluster):
    data = Data(cluster)
    leader = cluster.leader(TOPIC)
    follower = next(id for id in cluster.nodes if id != leader)
    data.damage(follower)
    wait_rebuilt(data, follower)
    assert cluster.leader(TOPIC) == leader
    assert metric(cluster, follower, "quarantined_replicas_total") == 1
    data.write(500)
    data.check()
    # What was set aside is as it was, damage and all.
    aside, = data.set_aside(follower)
    assert any(b"xyx" in path.read_bytes() for path in aside.glob("*.log"))


def test_a_damaged_leader_hands_over_before_it_is_built_anew(cluster):
    data = Data(cluster)
    leader = cluster.leader(TOPIC)
    data.damage(leader)
    assert cluster.leader(TOPIC, other_than=leader) != leader
    wait_rebuilt(data, leader)
    data.write(500)
    data.check()


def test_damage_done_while_a_node_is_down_is_found_after_its_start(cluster):
    data = Data(cluster)
    for id in cluster.nodes:
        data.wait_synced(id)
        cluster.kill(id)
        data.damage(id)
        cluster.start_node(id)
        data.in_sync()
        wait_rebuilt(data, id)
        data.write(200)
    data.check()


def test_records_written_while_replicas_are_built_anew_are_all_there(cluster):
    data = Data(cluster)
    for round in range(3):
        data.damage(cluster.leader(TOPIC))
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            data.write(100)
        data.in_sync()
        wait_until(lambda: all(metric(cluster, id, "damaged_replicas") == 0
                               for id in cluster.nodes), _PATIENCE, "no damage")
    data.check()


def set_of_broker(cluster, id, name, value):
    entry = ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.BROKER, str(id), incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.incremental_alter_configs([resource])[resource].result(30)


def write_few_keys(cluster, topic):
    """Several segments of values of which compaction keeps ten."""
    configs = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0",
               "segment.bytes": str(1 << 20)}
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([NewTopic(topic, 1, 3, config=configs)])[topic].result(30)
    cluster.wait_everywhere(topic)
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 5})
    for number in range(RECORDS):
        producer.produce(topic, value(number), str(number % 10))
        producer.poll(0)
    assert producer.flush(60) == 0


def test_damage_that_compaction_meets_is_repaired_and_other_logs_are_compacted():
    # Nobody else reads a follower's log: no scrubber runs, and compaction waits to be told.
    overrides = {"min.insync.replicas": 2, "ottla.scrub.bytes.per.second": 0,
                 "log.cleaner.backoff.ms": 3_600_000}
    with Cluster("ottla", count=3, overrides=overrides) as cluster:
        data = Data(cluster, configs={"cleanup.policy": "compact", "min.cleanable.dirty.ratio": 0})
        write_few_keys(cluster, "other")
        leader = cluster.leader(TOPIC)
        follower = next(id for id in cluster.nodes if id != leader)
        data.damage(follower)
        assert metric(cluster, follower, "damaged_replicas") == 0
        set_of_broker(cluster, follower, "log.cleaner.backoff.ms", 100)
        wait_rebuilt(data, follower)
        assert metric(cluster, follower, "quarantined_replicas_total") == 1
        assert cluster.leader(TOPIC) == leader
        # Each key of the damaged topic has one value: only of the other one is anything dropped.
        wait_until(lambda: metric(cluster, follower, "compaction_records_kept_total")
                   < metric(cluster, follower, "compaction_records_read_total"), _PATIENCE,
                   "the other log being compacted")
        data.write(500)
        data.check()
        aside, = data.set_aside(follower)
        assert any(b"xyx" in path.read_bytes() for path in aside.glob("*.log"))


@pytest.mark.parametrize("kind", ["a wrong bit", "a wrong offset", "an epoch to come",
                                  "a later leader's epoch", "the same, each batch sent alone"])
def test_a_follower_that_cannot_go_on_finds_its_leaders_damage(kind):
    # Nobody else looks: no scrubber runs, and nothing is sent from memory.
    overrides = {"min.insync.replicas": 2, "ottla.scrub.bytes.per.second": 0,
                 "ottla.tail.cache.bytes": 0}
    if kind == "the same, each batch sent alone":
        # The follower believes the epoch before it sees the next batch, and is built anew, too.
        overrides["replica.fetch.max.bytes"] = 1
    with Cluster("ottla", count=3, overrides=overrides) as cluster:
        data = Data(cluster)
        cluster.restart(cluster.leader(TOPIC))
        data.in_sync()
        data.write(100)
        leader = cluster.leader(TOPIC)
        follower = next(id for id in cluster.nodes if id != leader)
        assert cluster.terminate(follower) == 0
        shutil.rmtree(data.replica(follower))
        match kind:
            case "a wrong bit":
                data.damage(leader)
            case "a wrong offset":
                data.misplace(leader)
            case "an epoch to come":
                data.misdate(leader, 1000)
            case _:
                data.misdate(leader, list(ReplicaLog(data.replica(leader)).batches())[-1].leader_epoch)
        cluster.start_node(follower)
        assert cluster.leader(TOPIC, other_than=leader) != leader
        wait_rebuilt(data, leader)
        data.write(500)
        data.check()
        alone = kind == "the same, each batch sent alone"
        assert bool(data.set_aside(follower)) == alone


def test_the_only_copy_serves_what_is_sound_and_is_never_removed():
    with Cluster("ottla", count=1, overrides=SCRUBBED) as cluster:
        data = Data(cluster, replicas=1)
        data.damage(1)
        wait_until(lambda: metric(cluster, 1, "damaged_replicas") == 1, _PATIENCE, "its being known")
        # Appends go on, and what is not damaged is read.
        data.write(200)
        address, end = cluster.nodes[1].address, len(data.expected)
        refused, at, read = [], 0, {}
        while at < end:
            error, records = protocol.fetch(address, TOPIC, 0, at)
            if error:
                assert error == STORAGE_ERROR
                refused.append(at)
                at += 1
                continue
            for found in records_of(records):
                read.setdefault(found.offset, found.value)
            at = max(read) + 1
        assert refused and refused == list(range(refused[0], refused[-1] + 1)), "one batch"
        assert len(refused) < 100
        assert sorted([*read, *refused]) == list(range(end))
        assert all(found == data.expected[offset] for offset, found in read.items())
        assert not data.set_aside(1) and data.replica(1).is_dir()
        # A restart changes nothing.
        data.wait_synced(1)
        cluster.restart(1)
        wait_until(lambda: metric(cluster, 1, "damaged_replicas") == 1, _PATIENCE, "its being known")
        assert protocol.fetch(address, TOPIC, 0, refused[0])[0] == STORAGE_ERROR
        assert not data.set_aside(1)
