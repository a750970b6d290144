#!/usr/bin/env python3
"""What a partition costs where there are many: three nodes, three replicas each.

Each step is timed for all partitions and divided by their number. If it costs what it should, that
quotient is the same at every size; the last columns are how many times the smallest size's it is.

    create      CreateTopics, until every leader answers for each of its partitions
    first write one record to each partition, acks=all, until the last is acknowledged
    write again the same once more
    fail-over   a node is killed, until what it led has taken a record (acks=all)
    restart     it is started again, until all replicas are in sync
    stop, start every node is stopped in order and started, until all replicas are in sync
    delete      DeleteTopics, until no node has a directory of them

    tests/bench/partitions.py --binary target/release/ottla     2,000, 10,000 and 50,000
    tests/bench/partitions.py --sizes 2000,10000 --topic-partitions 1 --per-request 1

Compare the ratios: the figures themselves are this machine's. A size that takes longer than
`--limit` ends the run and is said so.
"""

import argparse
import os
import resource
import socket
import struct
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS)]

from harness import Cluster  # noqa: E402
from harness import protocol  # noqa: E402
from harness.batch import Batch  # noqa: E402
from harness.wait import wait_until  # noqa: E402

# What a request names at most.
REQUEST_PARTITIONS = 500
CREATE_PARTITIONS = 10_000
# Requests of one connection that wait for their answers.
IN_FLIGHT = 4
# Errors that pass: the leader is another, or not there yet.
PASSING = {3, 5, 6, 7, 9, 19, 20, 78, 100}
STEPS = ["create", "first write", "write again", "fail-over", "restart", "stop, start", "delete"]


class Connection:
    """One connection, several requests at a time, answers in their order."""

    def __init__(self, address, timeout):
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, key, version, body):
        frame = struct.pack(">hhi", key, version, 1) + protocol._string("bench") + body
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)

    def receive(self):
        size = self.file.read(4)
        if len(size) < 4:
            raise ConnectionError("closed")
        reader = protocol._Reader(self.file.read(struct.unpack(">i", size)[0]))
        reader.number("i")
        return reader

    def close(self):
        self.file.close()
        self.socket.close()


def body_of(partitions, one):
    """An array of topics, each with an array of what `one` gives for a partition."""
    topics = {}
    for topic, index in partitions:
        topics.setdefault(topic, []).append(index)
    out = [struct.pack(">i", len(topics))]
    for topic, indexes in topics.items():
        out += [protocol._string(topic), struct.pack(">i", len(indexes)), *map(one, indexes)]
    return b"".join(out)


def answers_of(reader, one):
    """{(topic, index): error} of an answer of that shape."""
    found = {}

    def of_topic():
        topic = reader.string()
        for index, error in reader.array(one):
            found[topic, index] = error

    reader.array(of_topic)
    return found


class Load:
    """Requests to the leaders of many partitions, until each has answered well."""

    def __init__(self, cluster, limit):
        self.cluster = cluster
        self.deadline = time.monotonic() + limit

    def leaders(self, topics):
        """{(topic, index): (leader, size of the isr)}, as some node has it."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the limit is over")
        for id in self.cluster.running():
            try:
                told = protocol.metadata(self.cluster.nodes[id].address, topics, timeout=60.0)
            except OSError:
                continue
            return {
                (topic, index): (at.leader, len(at.isr))
                for topic, partitions in told.topics.items()
                for index, at in partitions.items()
            }
        raise RuntimeError("no node answers")

    def until_done(self, wanted, ask):
        """Asks the leaders, again and again, for those that have not answered well."""
        rest = set(wanted)
        topics = sorted({topic for topic, _ in rest})
        while rest:
            leaders = self.leaders(topics)
            by_leader = {}
            for of in rest:
                leader, _ = leaders.get(of, (-1, 0))
                if leader > 0:
                    by_leader.setdefault(leader, []).append(of)
            with ThreadPoolExecutor(len(self.cluster.nodes)) as pool:
                done = pool.map(lambda item: ask(*item), by_leader.items())
                before = len(rest)
                for of_leader in done:
                    rest -= of_leader
            if len(rest) == before:
                time.sleep(0.05)

    def ask(self, leader, partitions, key, version, body, read):
        """Those of the leader's partitions that have answered well."""
        partitions.sort()
        chunks = [partitions[at : at + REQUEST_PARTITIONS]
                  for at in range(0, len(partitions), REQUEST_PARTITIONS)]
        done, sent = set(), 0
        try:
            connection = Connection(self.cluster.nodes[leader].address, 120.0)
        except OSError:
            return done
        try:
            for received in range(len(chunks)):
                while sent < len(chunks) and sent - received < IN_FLIGHT:
                    connection.send(key, version, body(chunks[sent]))
                    sent += 1
                for of, error in read(connection.receive()).items():
                    if error == 0:
                        done.add(of)
                    elif error not in PASSING:
                        raise RuntimeError(f"{of}: error {error}")
        except OSError:
            pass
        finally:
            connection.close()
        return done

    def produce(self, wanted):
        records = Batch([(int(time.time() * 1000), None, b"x" * 100)]).encode()
        data = struct.pack(">i", len(records)) + records

        def body(partitions):
            head = struct.pack(">hhi", -1, -1, 30_000)
            return head + body_of(partitions, lambda index: struct.pack(">i", index) + data)

        def read(reader):
            def one():
                index, error = reader.number("i"), reader.number("h")
                reader.take(16)  # offset, time
                return index, error

            return answers_of(reader, one)

        # Produce 3.
        self.until_done(wanted, lambda leader, of: self.ask(leader, of, 0, 3, body, read))

    def list_offsets(self, wanted):
        def body(partitions):
            one = lambda index: struct.pack(">iq", index, -1)
            return struct.pack(">i", -1) + body_of(partitions, one)

        def read(reader):
            def one():
                index, error = reader.number("i"), reader.number("h")
                reader.take(16)  # time, offset
                return index, error

            return answers_of(reader, one)

        # ListOffsets 1.
        self.until_done(wanted, lambda leader, of: self.ask(leader, of, 2, 1, body, read))


class Run:
    """All steps for one number of partitions, on a cluster of its own."""

    def __init__(self, cluster, size, options):
        self.cluster, self.limit, self.per_request = cluster, options.limit, options.per_request
        each = min(options.topic_partitions, size)
        counts = [each] * (size // each) + ([size % each] if size % each else [])
        self.topics = {f"bench-{number}": count for number, count in enumerate(counts)}
        self.all = [(t, index) for t, count in self.topics.items() for index in range(count)]

    def load(self):
        return Load(self.cluster, self.limit)

    def any_address(self):
        return self.cluster.nodes[self.cluster.running()[0]].address

    def create(self):
        """As many topics in a request as it may have partitions."""
        group, count = [], 0
        for topic, partitions in [*self.topics.items(), (None, CREATE_PARTITIONS)]:
            if group and count + partitions > self.per_request:
                self._create(group)
                group, count = [], 0
            group.append((topic, partitions))
            count += partitions
        self.load().list_offsets(self.all)

    def _create(self, group):
        topics = [protocol._string(topic) + struct.pack(">ihii", count, 3, 0, 0)
                  for topic, count in group]
        body = struct.pack(">i", len(topics)) + b"".join(topics) + struct.pack(">ib", 120_000, 0)
        reader = protocol.call(self.any_address(), 19, 2, body, timeout=self.limit)
        reader.number("i")  # throttle time
        for topic, error in reader.array(lambda: (reader.string(), (reader.number("h"), reader.string()))):
            # A request that timed out goes on by itself.
            if error[0] not in (0, 7, 36):
                raise RuntimeError(f"{topic}: {error}")

    def first_write(self):
        self.load().produce(self.all)

    write_again = first_write

    def wait_in_sync(self):
        load, topics = self.load(), sorted(self.topics)
        while True:
            leaders = load.leaders(topics)
            if all(leader > 0 and isr == 3 for leader, isr in leaders.values()):
                return
            time.sleep(0.1)

    def fail_over(self):
        before = self.load().leaders(sorted(self.topics))
        self.victim = self.cluster.controller() % len(self.cluster.nodes) + 1
        led = [of for of, (leader, _) in before.items() if leader == self.victim]
        began = time.monotonic()
        self.cluster.kill(self.victim)
        self.load().produce(led)
        # By what the others took over.
        return (time.monotonic() - began) * len(self.all) / len(led)

    def restart(self):
        self.cluster.start_node(self.victim, wait=False)
        wait_until(lambda: self.victim in self.cluster.metadata().brokers, self.limit)
        self.wait_in_sync()

    def stop_start(self):
        for id in self.cluster.running():
            self.cluster.terminate(id)
        for id in self.cluster.nodes:
            self.cluster.start_node(id, wait=False)
        self.cluster.wait_ready(self.limit)
        self.wait_in_sync()

    def delete(self):
        names = [protocol._string(topic) for topic in self.topics]
        body = struct.pack(">i", len(names)) + b"".join(names) + struct.pack(">i", 120_000)
        protocol.call(self.any_address(), 20, 1, body, timeout=self.limit)
        directories = [self.cluster.data_directory(id) for id in self.cluster.nodes]

        def are_gone():
            names = (name for directory in directories for name in os.listdir(directory))
            return not any(name.startswith("bench-") for name in names)

        wait_until(are_gone, self.limit, "no directory of a deleted topic", pause=0.1)

    def steps(self, wanted):
        for step in wanted:
            began = time.monotonic()
            took = getattr(self, step.replace(", ", "_").replace(" ", "_").replace("-", "_"))()
            yield step, took or time.monotonic() - began


def memory_megabytes(cluster):
    """Resident memory of the node that has most."""
    def of(id):
        status = Path(f"/proc/{cluster.pid(id)}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024

    return max(of(id) for id in cluster.running())


def raise_descriptors(wanted):
    """Each partition may have a file open on each node."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (wanted, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard)))
            return
        except (ValueError, OSError):
            continue


def measure(size, options, directory):
    overrides = dict(pair.split("=", 1) for pair in options.setting)
    found = {}
    with Cluster("ottla", directory=directory, overrides=overrides) as cluster:
        try:
            for step, took in Run(cluster, size, options).steps(options.steps):
                found[step] = took
                print(f"  {size:6} {step:12} {took:8.1f} s {took / size * 1000:8.3f} ms each"
                      f"  {memory_megabytes(cluster):5} MB", flush=True)
        except Exception as error:
            print(f"  {size:6} ended: {error}", flush=True)
            if options.keep_going:
                return found
            raise
    return found


def table(sizes, figures, steps):
    print("\n| step | " + " | ".join(f"{size:,}: s, ms each" for size in sizes) + " | times the first |")
    print("|--" * (len(sizes) + 2) + "|")
    for step in steps:
        each = [figures[size].get(step, float("nan")) for size in sizes]
        cells = [f"{took:.1f}, {took / size * 1000:.2f}" for took, size in zip(each, sizes)]
        base = each[0] / sizes[0]
        ratios = ", ".join(f"{took / size / base:.1f}" for took, size in zip(each[1:], sizes[1:]))
        print(f"| {step} | " + " | ".join(cells) + f" | {ratios} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    numbers = lambda text: [int(number) for number in text.split(",")]
    parser.add_argument("--sizes", type=numbers, default=[2_000, 10_000, 50_000])
    parser.add_argument("--topic-partitions", type=int, default=CREATE_PARTITIONS,
                        help="partitions of each topic")
    parser.add_argument("--per-request", type=int, default=CREATE_PARTITIONS,
                        help="partitions that a CreateTopics makes")
    parser.add_argument("--steps", type=lambda text: text.split(";"), default=STEPS,
                        help="names with ; between them")
    parser.add_argument("--limit", type=float, default=1200, help="seconds that a step may take")
    parser.add_argument("--binary", type=Path, help="default: OTTLA_BIN or the debug build")
    parser.add_argument("--directory", type=Path, help="where the clusters lie; on a file system in memory,"
                        " a sync costs nothing and the rest shows")
    parser.add_argument("--set", dest="setting", action="append", default=[],
                        help="a property of every node, name=value")
    parser.add_argument("--keep-going", action="store_true", help="with the next size after an error")
    options = parser.parse_args()
    if options.binary:
        os.environ["OTTLA_BIN"] = str(options.binary.absolute())
    raise_descriptors(4 * max(options.sizes) + 10_000)
    figures = {}
    for size in options.sizes:
        with tempfile.TemporaryDirectory(prefix="partitions-", dir=options.directory) as directory:
            figures[size] = measure(size, options, Path(directory))
    table(options.sizes, figures, options.steps)


if __name__ == "__main__":
    main()
