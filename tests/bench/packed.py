#!/usr/bin/env python3
"""What looking into packed batches costs a broker: `full` beside `header` beside Apache Kafka.

One node each: Ottla with `ottla.packed.validation=full`, Ottla with `header`, Apache Kafka. A client
sends one prebuilt batch of text again and again to one partition (one replica, acks=1, nobody reads),
several connections at a time, several requests ahead on each, so that the client does next to nothing
and the brokers always have work. The nodes take turns round by round, so that what disturbs one
disturbs the others; each codec has fresh nodes, so that the JVM compiles for that codec alone, and the
JVM is warmed with each case before it is measured. Reported as medians: CPU seconds of the broker per
GB of unpacked record bytes, their ratios, and MB/s of unpacked record bytes. Compare the ratios: the
figures themselves are this machine's.

    tests/bench/packed.py --binary target/release/ottla     nine minutes beside other work
    tests/bench/packed.py --binary target/release/ottla --quick     a third of that; only full/header is true
    tests/bench/packed.py --codecs gzip --records 100 --systems full,kafka

Leaves up to 15 GB on the disk until a codec is done. Goal: `full` at no more than a quarter of Kafka's
CPU. A run with three rounds, on two cores (AMD EPYC) of which other work took most (load average 9 to
16, so all figures are high and differ by a fifth from round to round), Ottla of the release profile,
static, at d06f8e3, OpenJDK 17; `packed` is how many times smaller a batch gets:

    codec   record  batch packed |     full  header   kafka |   full/header   full/kafka |     full  header   kafka
    lz4      100 B  16 KB   2.3x |     3.07    1.69   12.05 |          1.82         0.25 |      218     414      59
    lz4     1000 B  16 KB   2.0x |     3.26    2.06   10.98 |          1.58         0.30 |      245     291      36
    lz4      100 B  64 KB   2.5x |     2.96    1.35    5.18 |          2.19         0.57 |      170     612     117
    lz4     1000 B  64 KB   2.2x |     2.50    1.76    5.19 |          1.42         0.48 |      179     291     108
    zstd     100 B  16 KB   3.8x |     4.28    1.30   12.31 |          3.29         0.35 |      252     806      82
    zstd    1000 B  16 KB   3.2x |     4.27    1.06   12.18 |          4.03         0.35 |      249     789      95
    zstd     100 B  64 KB   4.0x |     2.81    1.00    5.42 |          2.80         0.52 |      356     786     168
    zstd    1000 B  64 KB   3.5x |     3.27    1.23    5.84 |          2.66         0.56 |      261     639     157
    gzip     100 B  16 KB   3.8x |     5.51    1.24   14.95 |          4.43         0.37 |      172     661      74
    gzip    1000 B  16 KB   3.2x |     5.91    1.35   13.15 |          4.38         0.45 |      143     588      73
    gzip     100 B  64 KB   4.1x |     3.83    0.59    8.19 |          6.47         0.47 |      195    1281      88
    gzip    1000 B  64 KB   3.6x |     4.30    0.63    7.76 |          6.79         0.55 |      214    1353     144
    snappy   100 B  16 KB   2.3x |     2.60    1.34   11.97 |          1.95         0.22 |      319     641      89
    snappy  1000 B  16 KB   2.4x |     2.36    1.40   12.18 |          1.68         0.19 |      365     497      83
    snappy   100 B  64 KB   2.4x |     2.40    1.16    6.21 |          2.06         0.39 |      348     756     141
    snappy  1000 B  64 KB   2.6x |     3.01    1.50    6.88 |          2.00         0.44 |      298     517     125
"""

import argparse
import os
import random
import shutil
import socket
import statistics
import struct
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS)]

from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402
from harness import Cluster, wait_until  # noqa: E402
from harness.batch import produce  # noqa: E402
from harness.kafka import KafkaSystem  # noqa: E402
from kafka.record.default_records import DefaultRecordBatchBuilder  # noqa: E402

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
SYSTEMS = ["full", "header", "kafka"]
TARGET = 0.25  # of Kafka's CPU
HERTZ = os.sysconf("SC_CLK_TCK")
CHUNK_BYTES = 128 << 10  # sent at once
RECEIVE_BYTES = 1 << 20

SERVICES = "checkout catalog payments sessions search mailer inventory pricing gateway".split()
LEVELS = ["DEBUG"] + ["INFO"] * 6 + ["WARN", "ERROR"]
WORDS = """request response accepted order customer item was not found in stock timeout while reading from
upstream retrying after connection closed by peer cache entry expired updated removed user session
started finished with status payment authorized captured refused price list loaded page of results for
query took longer than expected queue is empty worker picked up job cart total changed address verified""".split()


@dataclass
class Case:
    codec: str
    record_bytes: int
    batch_bytes: int

    def __str__(self):
        return f"{self.codec:6} {self.record_bytes:5} B {self.batch_bytes >> 10:3} KB"


def line(dice, size):
    """A line of a service's log in JSON, of that many bytes."""
    text = (f'{{"at":"2026-03-{dice.randrange(1, 29):02}T{dice.randrange(24):02}:{dice.randrange(60):02}:'
            f'{dice.randrange(60):02}.{dice.randrange(1000):03}Z","level":"{dice.choice(LEVELS)}",'
            f'"service":"{dice.choice(SERVICES)}","trace":"{dice.getrandbits(64):016x}","message":"')
    while len(text) < size - 2:
        text += dice.choice(WORDS) + (f" {dice.randrange(10_000)} " if dice.random() < 0.1 else " ")
    return (text[: size - 2] + '"}').encode()


@dataclass
class Load:
    topic: str
    records: bytes  # the batch
    unpacked: int  # bytes of its records

    @property
    def ratio(self):
        return self.unpacked / len(self.records)


def load_of(case, topic):
    """The batch as kafka-python makes it."""
    dice = random.Random(case.record_bytes)
    now = int(time.time() * 1000)
    builder = DefaultRecordBatchBuilder(2, CODECS[case.codec], False, -1, -1, -1, case.batch_bytes)
    offset = 0
    while builder.append(offset, now + offset // 10, None, line(dice, case.record_bytes), []):
        offset += 1
    unpacked = builder.size() - builder.header_size_in_bytes()
    load = Load(topic, bytes(builder.build()), unpacked)
    assert load.ratio > 1, "the builder left the batch unpacked"
    return load


def produce_request(topic, records):
    """Produce 8, acks=1."""
    name = struct.pack(">h", len(topic)) + topic.encode()
    body = struct.pack(">hhi", -1, 1, 30_000) + struct.pack(">i", 1) + name
    body += struct.pack(">iii", 1, 0, len(records)) + records
    frame = struct.pack(">hhih", 0, 8, 1, -1) + body
    return struct.pack(">i", len(frame)) + frame


class Connection:
    """Sends one request over and over, many ahead of their answers; every answer is looked at."""

    def __init__(self, address, topic, records):
        request = produce_request(topic, records)
        self.socket = socket.create_connection(address, timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.count = max(1, CHUNK_BYTES // len(request))
        self.chunk = request * self.count
        self.answered, self.waiting, self.rest = 0, 0, b""
        # size, correlation, topics, name and its length, partitions, index; then the error code.
        self.error_at = 4 + 4 + 4 + 2 + len(topic) + 4 + 4
        self.socket.sendall(request)
        self.first = self.socket.recv(RECEIVE_BYTES)
        self.stride = 4 + struct.unpack_from(">i", self.first)[0]
        self.check(self.first)

    def check(self, answers):
        """All have the first one's length, since they carry no text, and no error."""
        ends = len(answers) % self.stride
        codes = [answers[at :: self.stride] for at in (self.error_at, self.error_at + 1)]
        if ends or any(map(any, codes)) or set(answers[3 :: self.stride]) != {self.first[3]}:
            raise RuntimeError(f"refused: {answers[:200]}")

    def pump(self, deadline):
        while time.monotonic() < deadline:
            self.socket.sendall(self.chunk)
            self.waiting += self.count
            while self.waiting > self.count:
                self.take()
        while self.waiting:
            self.take()

    def take(self):
        got = self.socket.recv(RECEIVE_BYTES)
        if not got:
            raise ConnectionError("closed by the broker")
        data = self.rest + got
        whole = len(data) // self.stride
        self.rest = data[whole * self.stride :]
        if whole:
            self.check(data[: whole * self.stride])
        self.waiting -= whole
        self.answered += whole


def process_cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / HERTZ


def turn(cluster, load, seconds, connections):
    """That many seconds of the load: the broker's CPU seconds per GB, and MB/s."""
    pumps = [Connection(cluster.addresses()[0], load.topic, load.records) for _ in range(connections)]
    cpu, began = process_cpu(cluster.pid(1)), time.monotonic()
    with ThreadPoolExecutor(connections) as threads:
        list(threads.map(lambda pump: pump.pump(began + seconds), pumps))
    wall, cpu = time.monotonic() - began, process_cpu(cluster.pid(1)) - cpu
    for pump in pumps:
        pump.socket.close()
    total = load.unpacked * sum(pump.answered for pump in pumps)
    return cpu / (total / 1e9), total / 1e6 / wall


class ServerKafka(KafkaSystem):
    """With the heap and the collector of Kafka's own start script."""

    FLAGS = ["-server", "-Xms1G", "-Xmx1G", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
             "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"]

    def command(self, node):
        java, _, *rest = super().command(node)
        return [java, *self.FLAGS, *rest]


def start(system, directory):
    overrides = {} if system == "kafka" else {"ottla.packed.validation": system}
    kind = "kafka" if system == "kafka" else "ottla"
    cluster = Cluster(kind, count=1, directory=directory / system, overrides=overrides)
    if system == "kafka":
        cluster.system = ServerKafka()
    return cluster.start()


def make_topic(name, cluster, load):
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([NewTopic(load.topic, 1, 1)])[load.topic].result(30)
    # The controller may answer before the broker leads.
    taken = lambda: produce(cluster.addresses()[0], load.topic, load.records, acks=1).error == 0
    wait_until(taken, 30, f"{name} taking the batch")


def warm(cluster, load, megabytes, options):
    """A JVM compiles for gigabytes before it is as quick as it gets."""
    left = megabytes if isinstance(cluster.system, ServerKafka) else megabytes / 10
    deadline = time.monotonic() + options.warm_seconds_max
    while left > 0 and time.monotonic() < deadline:
        left -= turn(cluster, load, 1.0, options.connections)[1]


def measure(load, clusters, warm_megabytes, options):
    """For each system the (CPU s/GB, MB/s) of each round."""
    found = {system: [] for system in clusters}
    for system, cluster in clusters.items():
        make_topic(system, cluster, load)
        warm(cluster, load, warm_megabytes, options)
    for _ in range(options.rounds):
        for system, cluster in clusters.items():
            found[system].append(turn(cluster, load, options.seconds, options.connections))
    return found


def run_codec(codec, directory, options):
    """The rows of a codec, on fresh nodes."""
    clusters, rows = {}, []
    cases = [Case(codec, record, size << 10) for size in options.batches for record in options.records]
    try:
        for system in options.systems:
            clusters[system] = start(system, directory / codec)
        for number, case in enumerate(cases):
            load = load_of(case, f"packed-{number}")
            megabytes = options.warm / 4 if number else options.warm
            found = measure(load, clusters, megabytes, options)
            rows.append((case, found))
            for system, figures in found.items() if options.verbose else ():
                told = "  ".join(f"{cost:.2f} s/GB {speed:.0f} MB/s" for cost, speed in figures)
                print(f"  {case} {system:6} {told}", flush=True)
            print(row(case, load.ratio, found), flush=True)
    except Exception:
        for system, cluster in clusters.items():
            print(f"{system}, exit code {cluster.nodes[1].process.exit_code}:\n{cluster.log_tail(1)}", file=sys.stderr)
        raise
    finally:
        for cluster in clusters.values():
            cluster.stop()
        shutil.rmtree(directory / codec, ignore_errors=True)  # gigabytes
    return rows


def heading(systems):
    names = "".join(f"{system:>8}" for system in systems)
    ratios = "".join(f"{'full/' + system:>13}" for system in others(systems))
    width = 8 * len(systems)
    return (f"{'':28} | {'CPU s/GB':>{width}} | {'':{len(ratios)}} | {'MB/s':>{width}}\n"
            f"codec   record  batch packed | {names} | {ratios} | {names}")


def others(systems):
    """What `full` is compared with."""
    return [system for system in systems if system != "full" and "full" in systems]


def row(case, ratio, found):
    middle = {name: [statistics.median(column) for column in zip(*figures)] for name, figures in found.items()}
    costs = "".join(f"{cost:8.2f}" for cost, _ in middle.values())
    ratios = "".join(f"{middle['full'][0] / middle[name][0]:13.2f}" for name in others(found))
    speeds = "".join(f"{speed:8.0f}" for _, speed in middle.values())
    return f"{case} {ratio:5.1f}x | {costs} | {ratios} | {speeds}"


def report(rows):
    """Where Ottla's full validation costs more of Kafka's CPU than it may."""
    middle = lambda figures: statistics.median(cost for cost, _ in figures)
    shares = [(middle(found["full"]) / middle(found["kafka"]), case) for case, found in rows]
    over = [f"{case} {share:.2f}" for share, case in shares if share > TARGET]
    told = "; ".join(over) if over else "none"
    print(f"above {TARGET} of Kafka's CPU: {len(over)} of {len(rows)}: {told}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = lambda text: text.split(",")
    numbers = lambda text: [int(number) for number in text.split(",")]
    parser.add_argument("--systems", type=names, default=SYSTEMS)
    parser.add_argument("--codecs", type=names, default=["lz4", "zstd", "gzip", "snappy"])
    parser.add_argument("--records", type=numbers, default=[100, 1000], help="bytes of a value")
    parser.add_argument("--batches", type=numbers, default=[16, 64], help="KB of a batch, unpacked")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    parser.add_argument("--warm", type=int, default=2400,
                        help="MB that warm a JVM; a quarter of it for each further case")
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one size of batch, short turns, a JVM not yet warm")
    parser.add_argument("--verbose", action="store_true", help="each round")
    parser.add_argument("--binary", type=Path, help="default: OTTLA_BIN or the debug build")
    options = parser.parse_args()
    options.warm_seconds_max = 10 if options.quick else 45  # of a case
    if options.quick:
        options.batches, options.rounds, options.seconds, options.warm = [64], 3, 0.5, 1200
    if options.binary:
        os.environ["OTTLA_BIN"] = str(options.binary)
    rows = []
    with tempfile.TemporaryDirectory(prefix="packed-") as directory:
        print(heading(options.systems), flush=True)
        for codec in options.codecs:
            rows += run_codec(codec, Path(directory), options)
    # A JVM that is not warm flatters Ottla: no verdict.
    if {"full", "kafka"} <= set(options.systems) and not options.quick:
        report(rows)


if __name__ == "__main__":
    main()
