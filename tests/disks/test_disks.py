"""Real nodes on real disks that are full or fail."""

import time

from clients.confluent import ConfluentAdmin
from confluent_kafka import Consumer, Producer, TopicPartition
from harness import Cluster, batch, protocol, wait_until

STORAGE_ERROR = 56
KILOBYTE = b"v" * 1024


def record(value=KILOBYTE):
    return batch.Batch([(int(time.time() * 1000), b"k", value)]).encode()


def leaders(cluster, topic, of=None):
    partitions = cluster.metadata([topic], of=of).topics[topic]
    return {index: p.leader for index, p in partitions.items()}


def log_dirs(address):
    """DescribeLogDirs 1: {path: (error, {(topic, partition): size})}."""
    reader = protocol.call(address, 35, 1, b"\xff\xff\xff\xff")
    reader.number("i")

    def partition():
        index, size = reader.number("i"), reader.number("q")
        reader.number("q"), reader.number("b")
        return index, size

    def topic():
        name = reader.string()
        return {(name, index): size for index, size in reader.array(partition)}

    def directory():
        error, path = reader.number("h"), reader.string()
        held = {}
        for part in reader.array(topic):
            held.update(part)
        return path, (error, held)

    return dict(reader.array(directory))


def offsets_of(bootstrap, topic, partition, count):
    """The first `count` offsets of a partition, as a consumer gets them."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "g",
                         "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, partition, 0)])
    found = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None and not message.error():
            found.append(message.offset())
    consumer.close()
    return found


def test_a_full_disk_refuses_and_goes_on_when_there_is_space_again(volumes):
    disk = volumes("full", 64)
    with Cluster("ottla", count=1, overrides={"log.dirs": disk.path / "logs"}) as cluster:
        admin = ConfluentAdmin()
        admin.create(cluster.bootstrap, "t", 1, 1, {"segment.bytes": 1 << 20})
        cluster.wait_in_sync("t")
        node = cluster.nodes[1]
        assert batch.produce(node.address, "t", record()).error == 0
        filler = disk.fill(leave=300 << 10)
        answers = []
        while len(answers) < 2000 and (not answers or answers[-1].error == 0):
            answers.append(batch.produce(node.address, "t", record()))
        acknowledged = 1 + sum(answer.error == 0 for answer in answers)
        assert answers[-1].error == STORAGE_ERROR, "retriable"
        assert batch.produce(node.address, "t", record()).error == STORAGE_ERROR
        assert cluster.running() == [1]
        (error, held), = log_dirs(node.address).values()
        assert error == 0 and ("t", 0) in held, "the directory is well"
        filler.unlink()
        wait_until(lambda: batch.produce(node.address, "t", record()).error == 0, 15,
                   "appends going on")
        acknowledged += 1
        assert offsets_of(cluster.bootstrap, "t", 0, acknowledged) == list(range(acknowledged))
        # What was cut back left nothing behind: the log opens whole.
        cluster.restart(1)
        wait_until(lambda: batch.produce(node.address, "t", record()).error == 0, 15, "a leader")
        acknowledged += 1
        assert offsets_of(cluster.bootstrap, "t", 0, acknowledged) == list(range(acknowledged))


def test_a_failed_directory_takes_only_its_own_partitions_and_others_lead_them(volumes):
    disks = {1: (volumes("one-a", 64), volumes("one-b", 64))}
    with Cluster("ottla", count=3, overrides={"min.insync.replicas": 2}) as cluster:
        paths = ",".join(str(disk.path / "logs") for disk in disks[1])
        config = cluster.nodes[1].config
        cluster.terminate(1)
        lines = [line for line in config.read_text().splitlines()
                 if not line.startswith("log.dirs=")]
        config.write_text("\n".join([*lines, f"log.dirs={paths}",
                                     f"metadata.log.dir={cluster.nodes[1].directory / 'data'}"]))
        cluster.start_node(1)
        admin = ConfluentAdmin()
        admin.create(cluster.bootstrap, "t", 6, 3)
        cluster.wait_in_sync("t")
        producer = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 0,
                             "enable.idempotence": True})
        for number in range(60):
            producer.produce("t", KILOBYTE, partition=number % 6)
        assert producer.flush(30) == 0
        held = {path: sorted(i for topic, i in parts if topic == "t")
                for path, (_, parts) in log_dirs(cluster.nodes[1].address).items()}
        first, second = (str(disk.path / "logs") for disk in disks[1])
        assert len(held[first]) == len(held[second]) == 3, held

        disks[1][0].fail()
        started = time.monotonic()
        lost, kept = held[first], held[second]

        def moved():
            now = leaders(cluster, "t", of=2)
            return all(now[index] != 1 for index in lost)

        # A write finds out; whoever else leads has its partition at once. Where node 1 followed,
        # acks=all may wait until the leader takes it for lagging.
        for index in lost:
            producer.produce("t", KILOBYTE, partition=index)
        wait_until(moved, 10, "other leaders")
        print(f"every partition has another leader after {time.monotonic() - started:.1f} s")
        delivered = []
        for number in range(60):
            producer.produce("t", KILOBYTE, partition=number % 6,
                             on_delivery=lambda error, message: delivered.append(error))
        assert producer.flush(60) == 0 and delivered == [None] * 60

        assert 1 in cluster.running()
        described = log_dirs(cluster.nodes[1].address)
        assert described[first] == (STORAGE_ERROR, {})
        assert described[second][0] == 0
        assert sorted(i for topic, i in described[second][1] if topic == "t") == kept
        partitions = cluster.metadata(["t"], of=2).topics["t"]
        assert all(1 in partitions[index].isr for index in kept)
        for index in range(6):
            count = 21 if index in lost else 20
            assert offsets_of(cluster.bootstrap, "t", index, count) == list(range(count))


def test_a_directory_that_fails_at_the_start_is_missed_and_nothing_is_made_anew(volumes):
    disks = volumes("start-a", 64), volumes("start-b", 64)
    with Cluster("ottla", count=3, overrides={"min.insync.replicas": 2}) as cluster:
        cluster.terminate(1)
        paths = [str(disk.path / "logs") for disk in disks]
        cluster.configure(1, log_dirs=",".join(paths),
                          metadata_log_dir=cluster.nodes[1].directory / "data")
        cluster.start_node(1)
        ConfluentAdmin().create(cluster.bootstrap, "t", 6, 3)
        cluster.wait_in_sync("t")
        producer = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 0,
                             "enable.idempotence": True})
        for number in range(60):
            producer.produce("t", KILOBYTE, partition=number % 6)
        assert producer.flush(30) == 0
        held = {path: sorted(i for topic, i in parts if topic == "t")
                for path, (_, parts) in log_dirs(cluster.nodes[1].address).items()}
        lost, kept = held[paths[0]], held[paths[1]]
        assert len(lost) == len(kept) == 3, held
        cluster.terminate(1)
        disks[0].fail()
        cluster.start_node(1)

        def known():
            partitions = cluster.metadata(["t"], of=2).topics["t"]
            return (all(1 in partitions[index].isr for index in kept)
                    and all(1 not in partitions[index].isr for index in lost))

        wait_until(known, 30, "node 1 in sync where it can be")
        described = log_dirs(cluster.nodes[1].address)
        assert described[paths[0]][0] == STORAGE_ERROR
        assert sorted(i for topic, i in described[paths[1]][1] if topic == "t") == kept
        for number in range(60):
            producer.produce("t", KILOBYTE, partition=number % 6)
        assert producer.flush(30) == 0
        assert known(), "it stays so"
        # The directory is back at the next start, with what it held.
        cluster.terminate(1)
        disks[0].power_up()
        cluster.start_node(1)
        cluster.wait_in_sync("t")
        described = log_dirs(cluster.nodes[1].address)
        assert sorted(i for topic, i in described[paths[0]][1] if topic == "t") == lost
        for index in range(6):
            assert offsets_of(cluster.bootstrap, "t", index, 20) == list(range(20))


def test_a_node_without_any_directory_left_tells_the_controller_and_stops(volumes):
    disk = volumes("last", 64)
    with Cluster("ottla", count=3, overrides={"min.insync.replicas": 2}) as cluster:
        cluster.terminate(1)
        cluster.configure(1, log_dirs=disk.path / "logs",
                          metadata_log_dir=cluster.nodes[1].directory / "data")
        cluster.start_node(1)
        ConfluentAdmin().create(cluster.bootstrap, "t", 6, 3)
        cluster.wait_in_sync("t")
        disk.fail()
        producer = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 0,
                             "enable.idempotence": True})
        delivered = []
        for number in range(60):
            producer.produce("t", KILOBYTE, partition=number % 6,
                             on_delivery=lambda error, _: delivered.append(error))
        wait_until(lambda: cluster.running() == [2, 3], 30, "node 1 having stopped")
        assert cluster.nodes[1].process.exit_code == 1, "it says that something is wrong"
        assert "every log directory is offline" in cluster.log_tail(1)
        assert producer.flush(60) == 0 and delivered == [None] * 60
        for index in range(6):
            assert offsets_of(cluster.bootstrap, "t", index, 10) == list(range(10))
