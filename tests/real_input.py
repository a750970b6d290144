#!/usr/bin/env python3
"""Real text through a cluster that loses a broker on the way.

Takes at least 100 MB of real lines (Debian's package lists, then documentation and other text of
this machine), cuts them in six, and sends each part with `kcat -P -p N` (idempotent, acks=all) to a
topic with six partitions and three replicas, on three brokers with default settings. When a third is
acknowledged, a broker that leads some of the partitions is killed with -9; it is started again when
half is, under the load that goes on. Then everything is read back and compared with what was sent,
line for line, and the replicas are compared byte for byte below the high watermark. Meanwhile a
prober sends 100 records a second to each partition of another topic, and the longest time without
an acknowledgement is reported.

    tests/real_input.py                    about a minute; exit code 0 if everything is equal
    tests/real_input.py --seconds 0        as fast as it goes

Empty lines are left out of the input: kcat does not send them.
"""

import argparse
import filecmp
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS / "chaos")]

from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402
from harness import Cluster, wait_until  # noqa: E402
from harness.history import HistoryFile, check  # noqa: E402
from harness.logs import compare_replicas  # noqa: E402
from load import Load, read_all  # noqa: E402
from values import contents  # noqa: E402

PARTS = 6
STALL_GOAL = 2.0
PROBE_BYTES = 100
PROBES_PER_SECOND = 100
_CHUNK = 64 << 10
_KCAT = ["-X", "enable.idempotence=true", "-X", "acks=all"]


class Input:
    """Real lines, cut in six files of about the same size."""

    def __init__(self, directory, bytes_min):
        self.paths = [directory / f"part-{n}" for n in range(PARTS)]
        self.lines = [0] * PARTS
        self.sources = 0
        self.bytes = 0
        files = [open(path, "wb") for path in self.paths]
        share = bytes_min // PARTS + 1
        for lines in self._texts():
            # A part is filled before the next is begun: the order within the text is kept.
            self.sources += 1
            for line in lines:
                part = min(self.bytes // share, PARTS - 1)
                files[part].write(line + b"\n")
                self.lines[part] += 1
                self.bytes += len(line) + 1
                if self.bytes >= bytes_min:
                    break
            if self.bytes >= bytes_min:
                break
        for file in files:
            file.close()

    def _texts(self):
        yield from _texts()
        # A machine with little text on it: the same again, told apart by numbers.
        round = 1
        while self.bytes:
            for lines in _texts():
                yield [b"%d:%d:%s" % (round, n, line) for n, line in enumerate(lines)]
            round += 1


def _texts():
    """The lines of each text of this machine, until somebody has enough."""
    for path in sorted(Path("/var/lib/apt/lists").glob("*Packages*")):
        helper = "/usr/lib/apt/apt-helper"
        if Path(helper).exists():
            yield _lines(subprocess.run([helper, "cat-file", path], capture_output=True).stdout)
    for place in ["/usr/share/doc", "/usr/share/dict", "/usr/share/common-licenses",
                  "/usr/include", "/usr/lib/python3", "/usr/share"]:
        for path in sorted(Path(place).rglob("*")):
            if path.is_file() and not path.is_symlink():
                data = gzip_or_plain(path)
                if data and b"\0" not in data:
                    yield _lines(data)


def gzip_or_plain(path):
    try:
        return gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError):
        return b""


def _lines(data):
    return [line for line in data.split(b"\n") if line and len(line) < 500_000]


class Senders:
    """Six kcats, each fed with its part at a pace."""

    def __init__(self, bootstrap, topic, input, seconds, directory):
        self.outputs = [directory / f"kcat-{n}.log" for n in range(PARTS)]
        self.processes = []
        self._threads = []
        for part, path in enumerate(input.paths):
            command = ["kcat", "-P", "-b", bootstrap, "-t", topic, "-p", str(part), *_KCAT]
            with open(self.outputs[part], "wb") as output:
                process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=output)
            self.processes.append(process)
            pace = path.stat().st_size / seconds if seconds else None
            self._threads.append(threading.Thread(target=self._feed, args=(process, path, pace)))
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _feed(process, path, pace):
        started, fed = time.monotonic(), 0
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                if pace:
                    time.sleep(max(0.0, started + fed / pace - time.monotonic()))
                try:
                    process.stdin.write(chunk)
                except BrokenPipeError:
                    break
                fed += len(chunk)
        process.stdin.close()

    def running(self):
        return sum(process.poll() is None for process in self.processes)

    def join(self):
        """Waits for all of them; complains of one that did not deliver everything."""
        for thread in self._threads:
            thread.join()
        for process, output in zip(self.processes, self.outputs):
            if process.wait(300) != 0 or b"Delivery failed" in output.read_bytes():
                raise SystemExit(f"kcat failed: {output.read_text()[-2000:]}")


def acknowledged(cluster, topic):
    """Records below the high watermarks of all partitions."""
    return sum(cluster.end_offset(topic, part) for part in range(PARTS))


def create(cluster, *topics):
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    new = [NewTopic(topic, PARTS, 3, config={"min.insync.replicas": "2"}) for topic in topics]
    for future in admin.create_topics(new).values():
        future.result(30)
    for topic in topics:
        cluster.wait_in_sync(topic)


def lose_a_broker(cluster, topic, senders, lines):
    """Kills a leader at a third, starts it again at a half. Says what it hit."""
    wait_until(lambda: acknowledged(cluster, topic) >= lines / 3, 600, "a third being acknowledged")
    victim = cluster.leader(topic, 0)
    led = [p for p, of in cluster.metadata([topic]).topics[topic].items() if of.leader == victim]
    controller = cluster.controller() == victim
    pid = cluster.pid(victim)
    cluster.kill(victim)
    assert not Path(f"/proc/{pid}").exists(), "the kill did not land"
    killed = time.monotonic()
    for part in led:
        cluster.leader(topic, part, other_than=victim)
    elected = time.monotonic() - killed
    wait_until(lambda: acknowledged(cluster, topic) >= lines / 2, 600, "half being acknowledged")
    still = senders.running()
    cluster.start_node(victim)
    print(f"killed    broker {victim}, leader of {led}{', active controller' if controller else ''};"
          f" new leaders known after {elected:.2f} s; started again while {still} kcats sent")
    if not still:
        print("VOID: nothing was being sent any more when the broker came back")
    return bool(still)


def read_back(cluster, topic, input, directory):
    """Parts that came back different."""
    different = []
    for part, path in enumerate(input.paths):
        back = directory / f"back-{part}"
        with open(back, "wb") as out:
            subprocess.run(["kcat", "-C", "-q", "-e", "-b", cluster.bootstrap, "-t", topic, "-p",
                            str(part), "-o", "beginning"], stdout=out, check=True, timeout=300)
        if not filecmp.cmp(path, back, shallow=False):
            different.append(part)
            print(f"DIFFERENT part {part}: cmp {path} {back}")
    return different


def compare(cluster, topic):
    """Sentences about replicas that differ."""
    differences, count, size = [], 0, 0
    for part in range(PARTS):
        end = cluster.end_offset(topic, part)
        places = [cluster.data_directory(id) / f"{topic}-{part}" for id in cluster.nodes]
        found = compare_replicas(places, end)
        differences += found.differences
        count += found.batches
        size += found.bytes
    print(f"replicas  {count} batches, {size / 1e6:.1f} MB on each of {len(cluster.nodes)} brokers,"
          f" {len(differences)} differences")
    for sentence in differences:
        print(f"DIFFERENT {sentence}")
    return differences


def probes(cluster, prober, history, topic):
    """Faults in the prober's own records, and its longest stall."""
    prober.finish()
    ends = {part: cluster.end_offset(topic, part) for part in range(PARTS)}
    for part, records in read_all(cluster.bootstrap, topic, ends).items():
        named, damaged = contents(records, part)
        history.read(2, topic, part, named, final=True, damaged=damaged)
        history.final_read(topic, part, ends[part])
    history.__exit__(None)
    code, report = check(history.path)
    stall = report["stalls"]["max"]
    print(f"probes    {report['acknowledged']} acknowledged, verdict: {report['verdict']}")
    print(f"stall     {stall:.2f} s the longest without an acknowledgement in any partition; "
          f"goal under {STALL_GOAL:.0f} s: {'met' if stall < STALL_GOAL else 'MISSED'}")
    return code + report["unknown"]


def run(options, directory):
    input = Input(directory, options.megabytes * 1_000_000)
    lines = sum(input.lines)
    print(f"input     {input.bytes / 1e6:.1f} MB, {lines} lines of {input.sources} texts, in {PARTS}")
    with Cluster("ottla", directory=directory / "cluster") as cluster:
        topic, probe_topic = (f"{kind}-{uuid.uuid4().hex[:6]}" for kind in ("real", "probe"))
        create(cluster, topic, probe_topic)
        history = HistoryFile(directory / "probes.jsonl", {probe_topic: PARTS})
        prober = Load(cluster.bootstrap, history, probe_topic, PARTS, PROBES_PER_SECOND * PARTS,
                      PROBE_BYTES)
        prober.start()
        started = time.monotonic()
        senders = Senders(cluster.bootstrap, topic, input, options.seconds, directory)
        landed = lose_a_broker(cluster, topic, senders, lines)
        senders.join()
        taken = time.monotonic() - started
        print(f"sent      in {taken:.1f} s, {input.bytes / 1e6 / taken:.1f} MB/s with the loss")
        cluster.wait_in_sync(topic)
        cluster.wait_in_sync(probe_topic)
        faults = probes(cluster, prober, history, probe_topic)
        different = read_back(cluster, topic, input, directory)
        differences = compare(cluster, topic)
    print(f"read back {PARTS - len(different)} of {PARTS} parts equal line for line")
    return landed and not (faults or different or differences)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--megabytes", type=int, default=102, help="how much text (default 102)")
    parser.add_argument("--seconds", type=float, default=20,
                        help="over how long it is sent; 0: as fast as it goes (default 20)")
    parser.add_argument("--binary", type=Path, help="default: OTTLA_BIN, the release build, "
                                                    "or the debug build")
    options = parser.parse_args()
    target = Path(os.environ.get("CARGO_TARGET_DIR", TESTS.parent / "target"))
    release = target / "release" / "ottla"
    if options.binary:
        os.environ["OTTLA_BIN"] = str(options.binary)
    elif "OTTLA_BIN" not in os.environ and release.exists():
        os.environ["OTTLA_BIN"] = str(release)
    directory = Path(tempfile.mkdtemp(prefix="real-input-"))
    equal = False
    try:
        equal = run(options, directory)
    finally:
        if equal:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            print(f"what was sent and read is kept in {directory}")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
