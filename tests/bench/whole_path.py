#!/usr/bin/env python3
"""The whole path beside Apache Kafka: three brokers, RF 3, acks=all, 1 KB records, six partitions.

Both clusters run at the same time on this machine and take turns, so that what disturbs one
disturbs the other. The load is librdkafka's (kcat, idempotent, no compression); the JVMs are warmed
with gigabytes first. Reported per round and as medians: MB/s at the producer, and CPU seconds of all
brokers together per GB acknowledged; then the same for reading it back. Compare the ratios: the
figures themselves are this machine's.

    tests/bench/whole_path.py                        both, about ten minutes
    tests/bench/whole_path.py --systems ottla        Ottla alone
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS)]

from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402
from harness import Cluster  # noqa: E402
from harness.kafka import KafkaSystem  # noqa: E402

PARTITIONS = 6
RECORD_BYTES = 1000
HERTZ = os.sysconf("SC_CLK_TCK")
TICKS = (11, 12)  # utime and stime in what follows the name in /proc/PID/stat, from 0


def cpu_seconds(cluster):
    """CPU time of all nodes so far."""
    total = 0
    for id in cluster.running():
        fields = Path(f"/proc/{cluster.pid(id)}/stat").read_text().rsplit(")", 1)[1].split()
        total += sum(int(fields[at]) for at in TICKS)
    return total / HERTZ


def lines(directory, megabytes):
    """A file of lines of RECORD_BYTES, of text that does not repeat."""
    path = directory / "lines"
    rest = megabytes * 1_000_000 // RECORD_BYTES
    with open(path, "wb") as out:
        while rest > 0:
            count = min(rest, 1000)
            for _ in range(count):
                out.write(os.urandom((RECORD_BYTES - 1) // 2 + 1).hex()[: RECORD_BYTES - 1].encode() + b"\n")
            rest -= count
    return path, path.stat().st_size


def produce(cluster, topic, path, size, producers, settings):
    """The file once by each of `producers` processes, round robin over the partitions."""
    command = ["kcat", "-P", "-b", cluster.bootstrap, "-t", topic, "-z", "none",
               "-X", "acks=all", "-X", "partitioner=random", *settings]
    cpu, load, began = cpu_seconds(cluster), children(), time.monotonic()
    running = []
    for _ in range(producers):
        with open(path, "rb") as source:
            running.append(subprocess.Popen(command, stdin=source))
    for process in running:
        if process.wait() != 0:
            raise RuntimeError(f"kcat ended with {process.returncode}")
    return figure(cluster, size * producers, cpu, load, began)


def consume(cluster, topic, size):
    """All of the topic, once."""
    # librdkafka stops to fetch for a whole second each time that its queue is full (64 MB, 100,000
    # records), and a broker is told of the end half a second late: the measure would be of those
    # pauses, and the quicker broker fills the queue more often.
    command = ["kcat", "-C", "-e", "-q", "-b", cluster.bootstrap, "-t", topic, "-o", "beginning",
               "-X", "fetch.message.max.bytes=4194304", "-X", "fetch.wait.max.ms=10",
               "-X", "queued.max.messages.kbytes=2000000", "-X", "queued.min.messages=10000000"]
    cpu, load, began = cpu_seconds(cluster), children(), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return figure(cluster, size, cpu, load, began)


def children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def figure(cluster, size, cpu, load, began):
    """MB/s, the brokers' CPU seconds per GB, the load's own CPU seconds per GB."""
    wall, gigabytes = time.monotonic() - began, size / 1e9
    brokers = cpu_seconds(cluster) - cpu
    # The nodes are children too, but have not ended: rusage counts only those that did.
    return size / 1e6 / wall, brokers / gigabytes, (children() - load) / gigabytes


class WarmKafka(KafkaSystem):
    def command(self, node):
        return [word.replace("-Xmx512M", "-Xmx1G") for word in super().command(node)]


def start(system, directory, binary):
    if binary:
        os.environ["OTTLA_BIN"] = str(binary)
    cluster = Cluster(system, directory=directory / system,
                      overrides={"log.segment.delete.delay.ms": 1000})
    if system == "kafka":
        cluster.system = WarmKafka()
    return cluster.start()


def one_round(cluster, path, size, options):
    topic = f"bench-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([NewTopic(topic, PARTITIONS, 3)])[topic].result(30)
    cluster.wait_in_sync(topic)
    produced = produce(cluster, topic, path, size, options.producers, options.setting)
    consumed = consume(cluster, topic, size * options.producers)
    admin.delete_topics([topic])[topic].result(30)
    return produced, consumed


def show(system, what, figures):
    speed, cost, load = (statistics.median(column) for column in zip(*figures))
    print(f"{system:6} {what:8} {speed:7.0f} MB/s  {cost:6.2f} broker CPU s/GB"
          f"  {load:6.2f} client CPU s/GB", flush=True)
    return speed, cost


def run(options, directory):
    path, size = lines(directory, options.megabytes)
    clusters = {system: start(system, directory, options.binary) for system in options.systems}
    try:
        if "kafka" in clusters:
            warmed = 0
            while warmed < options.warm * 1e9:
                one_round(clusters["kafka"], path, size, options)
                warmed += size * options.producers
        figures = {system: ([], []) for system in clusters}
        for number in range(options.rounds):
            for system, cluster in clusters.items():
                for kind, found in zip(figures[system], one_round(cluster, path, size, options)):
                    kind.append(found)
                    speed, cost, load = found
                    print(f"  round {number + 1} {system}: {speed:.0f} MB/s, {cost:.2f} and {load:.2f} s/GB",
                          flush=True)
        medians = {}
        for system, (produced, consumed) in figures.items():
            medians[system] = show(system, "produce", produced), show(system, "consume", consumed)
        if len(medians) == 2:
            for at, what in enumerate(("produce", "consume")):
                ours, theirs = medians["ottla"][at], medians["kafka"][at]
                print(f"{what}: {ours[0] / theirs[0]:.2f} times Kafka's speed at"
                      f" {ours[1] / theirs[1]:.2f} of its CPU")
    finally:
        for cluster in clusters.values():
            cluster.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--systems", type=lambda text: text.split(","), default=["ottla", "kafka"])
    parser.add_argument("--megabytes", type=int, default=500, help="per producer and round")
    parser.add_argument("--producers", type=int, default=2, help="processes at the same time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm", type=float, default=4, help="gigabytes that warm the JVMs")
    parser.add_argument("--binary", type=Path, help="default: OTTLA_BIN or the debug build")
    parser.add_argument("-X", dest="setting", action="append", default=[],
                        help="a setting of librdkafka, name=value")
    options = parser.parse_args()
    options.setting = [word for setting in options.setting for word in ("-X", setting)]
    with tempfile.TemporaryDirectory(prefix="whole-path-") as directory:
        run(options, Path(directory))


if __name__ == "__main__":
    main()
