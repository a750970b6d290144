#!/usr/bin/env python3
"""Reading back, beside bare loops that move the same files: one broker, one raw consumer.

A consumer that fetches one partition as a client does, and throws the bytes away, beside senders
that do nothing but move the partition's files from the page cache to a loopback socket: sendfile,
pread and write, mmap and write. All are received by the same loop, and take turns round by round,
so that what disturbs one disturbs the others. Reported as medians: MB/s, CPU seconds of the sender
per GB, and how Ottla's speed compares with the best bare loop's. Nothing fails here: it reports.

    tests/bench/read_path.py                              each way of moving bytes that there is
    tests/bench/read_path.py --transfers pread --pipeline 2
"""

import argparse
import mmap
import os
import resource
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS)]

from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402
from harness import Cluster  # noqa: E402

TOPIC = "read-path"
HERTZ = os.sysconf("SC_CLK_TCK")
RECEIVE_BYTES = 1 << 20


def fill(cluster, megabytes, directory):
    """A topic of one partition with that many MB of records of 1 KB."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(30)
    path = directory / "lines"
    with open(path, "wb") as out:
        for _ in range(megabytes):
            block = os.urandom(500_000).hex().encode()
            out.write(b"\n".join(block[at : at + 999] for at in range(0, 999_000, 999)) + b"\n")
    command = ["kcat", "-P", "-b", cluster.bootstrap, "-t", TOPIC, "-z", "none", "-X", "acks=all"]
    with open(path, "rb") as source:
        subprocess.run(command, stdin=source, check=True)
    path.unlink()


class Consumer:
    """Speaks Fetch version 11 by hand, one partition, no session."""

    def __init__(self, address, fetch_bytes):
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fetch_bytes = fetch_bytes
        self.buffer = memoryview(bytearray(RECEIVE_BYTES))

    def request(self, offset):
        topic = TOPIC.encode()
        header = struct.pack(">hhih", 1, 11, 7, -1)
        body = struct.pack(">iiiibii", -1, 100, 1, 0x7FFFFFFF, 0, 0, -1)
        body += struct.pack(">ih", 1, len(topic)) + topic
        body += struct.pack(">iiiqqi", 1, 0, -1, offset, -1, self.fetch_bytes)
        body += struct.pack(">ih", 0, 0)
        return struct.pack(">i", len(header) + len(body)) + header + body

    def whole(self):
        """A response in memory."""
        (length,) = struct.unpack(">i", self.exactly(4))
        return self.exactly(length)

    def exactly(self, count):
        data = bytearray(count)
        view, at = memoryview(data), 0
        while at < count:
            got = self.socket.recv_into(view[at:])
            if not got:
                raise ConnectionError("closed in the middle of a response")
            at += got
        return data

    def schedule(self):
        """The offsets to ask for, and the sizes of the answers, once through the partition."""
        offset, asked = 0, []
        while True:
            self.socket.sendall(self.request(offset))
            response = self.whole()
            records_at = 4 + 4 + 2 + 4 + 4 + 2 + len(TOPIC) + 4
            _, error, _, _, _ = struct.unpack_from(">ihqqq", response, records_at)
            if error:
                raise RuntimeError(f"fetch: error {error}")
            at = records_at + 4 + 2 + 24 + 4 + 4
            (size,) = struct.unpack_from(">i", response, at)
            if size <= 0:
                return asked
            asked.append((self.request(offset), len(response) + 4, size))
            at, end = at + 4, at + 4 + size
            while at + 61 <= end:
                base, length = struct.unpack_from(">qi", response, at)
                (delta,) = struct.unpack_from(">i", response, at + 23)
                offset, at = base + delta + 1, at + 12 + length

    def discard(self, count):
        while count:
            got = self.socket.recv_into(self.buffer[: min(count, RECEIVE_BYTES)])
            if not got:
                raise ConnectionError("closed in the middle of a response")
            count -= got

    def run(self, asked, pipeline):
        ahead = 0
        for at, (_, size, _) in enumerate(asked):
            while ahead < min(at + pipeline, len(asked)):
                self.socket.sendall(asked[ahead][0])
                ahead += 1
            self.discard(size)
        return sum(size for _, _, size in asked)


def send_by_sendfile(out, file, size, chunk):
    at = 0
    while at < size:
        at += os.sendfile(out.fileno(), file, at, min(chunk, size - at))


def send_by_pread(out, file, size, chunk):
    buffer = memoryview(bytearray(chunk))
    at = 0
    while at < size:
        got = os.preadv(file, [buffer[: min(chunk, size - at)]], at)
        out.sendall(buffer[:got])
        at += got


def send_by_mmap(out, file, size, chunk):
    with mmap.mmap(file, size, prot=mmap.PROT_READ) as mapped:
        with memoryview(mapped) as view:
            for at in range(0, size, chunk):
                with view[at : at + chunk] as piece:
                    out.sendall(piece)


BARE = {"sendfile": send_by_sendfile, "pread": send_by_pread, "mmap": send_by_mmap}


def bare(way, files, chunk):
    """All files through a loopback socket: MB/s and the sender's CPU seconds per GB."""
    listener = socket.create_server(("127.0.0.1", 0))
    total = sum(path.stat().st_size for path in files)
    child = os.fork()
    if child == 0:
        out, _ = listener.accept()
        for path in files:
            with open(path, "rb") as file:
                BARE[way](out, file.fileno(), path.stat().st_size, chunk)
        out.close()
        os._exit(0)
    receiver = Consumer(listener.getsockname(), 0)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    receiver.discard(total)
    wall = time.monotonic() - began
    os.waitpid(child, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    listener.close()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return total / 1e6 / wall, cpu / (total / 1e9)


def process_cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / HERTZ


def fetched(cluster, asked, pipeline, fetch_bytes):
    consumer = Consumer(cluster.addresses()[0], fetch_bytes)
    cpu, began = process_cpu(cluster.pid(1)), time.monotonic()
    total = consumer.run(asked, pipeline)
    wall = time.monotonic() - began
    return total / 1e6 / wall, (process_cpu(cluster.pid(1)) - cpu) / (total / 1e9)


def log_files(cluster):
    files = sorted(cluster.data_directory(1).rglob(f"{TOPIC}-0/*.log"))
    for path in files:
        path.read_bytes()  # into the page cache
    return [path for path in files if path.stat().st_size > 0]


def run(options, directory):
    clusters = {}
    try:
        for transfer in options.transfers:
            overrides = {"ottla.fetch.transfer": transfer}
            cluster = Cluster("ottla", count=1, directory=directory / transfer, overrides=overrides)
            clusters[transfer] = cluster
            cluster.start()
            fill(cluster, options.megabytes, directory)
        files = log_files(next(iter(clusters.values())))
        asked = {}
        for transfer, cluster in clusters.items():
            consumer = Consumer(cluster.addresses()[0], options.fetch_bytes)
            asked[transfer] = consumer.schedule()
        figures = {}
        for _ in range(options.rounds):
            for way in BARE:
                found = bare(way, files, options.chunk)
                figures.setdefault(("bare", way), []).append(found)
            for transfer, cluster in clusters.items():
                found = fetched(cluster, asked[transfer], options.pipeline, options.fetch_bytes)
                figures.setdefault(("ottla", transfer), []).append(found)
        report(figures)
    finally:
        for cluster in clusters.values():
            cluster.stop()


def report(figures):
    speeds = {name: statistics.median(speed for speed, _ in found) for name, found in figures.items()}
    best = max(speed for (kind, _), speed in speeds.items() if kind == "bare")
    for name, found in figures.items():
        cost = statistics.median(cost for _, cost in found)
        print(f"{name[0]:6} {name[1]:10} {speeds[name]:7.0f} MB/s  {cost:5.2f} sender CPU s/GB"
              f"  {speeds[name] / best:5.2f} of the best bare loop")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--transfers", type=lambda text: text.split(","),
                        default=["sendfile", "pread"], help="values of ottla.fetch.transfer")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pipeline", type=int, default=1, help="fetches in flight")
    parser.add_argument("--fetch-bytes", type=int, default=4 << 20, help="asked of the partition")
    parser.add_argument("--chunk", type=int, default=1 << 20, help="of the bare loops")
    parser.add_argument("--binary", type=Path, help="default: OTTLA_BIN or the debug build")
    options = parser.parse_args()
    if options.binary:
        os.environ["OTTLA_BIN"] = str(options.binary)
    with tempfile.TemporaryDirectory(prefix="read-path-") as directory:
        run(options, Path(directory))


if __name__ == "__main__":
    main()
