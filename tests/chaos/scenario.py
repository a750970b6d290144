"""One scenario: a topic under load, a fault, healing, and everything read back and compared."""

import json
import time
import uuid
from dataclasses import asdict, dataclass, field

from confluent_kafka.admin import AdminClient, NewTopic
from faults import Faults, Void
from harness import wait_until
from harness.logs import compare_replicas
from history import judge
from load import Load, read_all

PARTITIONS = 6
VALUE_BYTES = 1000
RATE = 3000
# The least that `segment.bytes` may be: segments roll every few seconds.
SEGMENT_BYTES = 1 << 20
_IN_SYNC_TIMEOUT = 60.0


@dataclass
class Report:
    scenario: str
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    foreign: int = 0
    holes: int = 0
    unanswered: int = 0
    diverged: int = 0
    compared_mb: float = 0.0
    segments: int = 0  # the most of a partition
    leader_epochs: int = 0  # all partitions' together
    stall_s: float = 0.0  # the longest of all
    stalls: list = field(default_factory=list)  # of each fault, the longest of any partition
    fired: dict = field(default_factory=dict)
    examples: list = field(default_factory=list)

    @property
    def faults(self):
        return (self.lost + self.doubled + self.reordered + self.foreign + self.holes
                + self.unanswered + self.diverged)

    def stall(self, share):
        """The stall that this share of the faults stayed below."""
        ordered = sorted(self.stalls) or [self.stall_s]
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    def json(self):
        return json.dumps(asdict(self))


class Scenario:
    """Use: `with Scenario(...) as s: s.faults.kill(...)`, then `s.finish()` for the report."""

    def __init__(self, name, cluster):
        self.report = Report(name)
        self.cluster = cluster
        self.faults = Faults(cluster)
        self.ends = {}  # the high watermarks once the load has ended
        self.topic = f"chaos-{uuid.uuid4().hex[:8]}"
        self._create()
        self.load = Load(cluster.bootstrap, self.topic, PARTITIONS, RATE, VALUE_BYTES)

    def _create(self):
        admin = AdminClient({"bootstrap.servers": self.cluster.bootstrap})
        topic = NewTopic(self.topic, PARTITIONS, 3, config={
            "segment.bytes": str(SEGMENT_BYTES),
            "min.insync.replicas": "2",
        })
        admin.create_topics([topic])[self.topic].result(30)
        self.cluster.wait_in_sync(self.topic)

    def __enter__(self):
        self.load.start()
        self.flow()
        return self

    def __exit__(self, *_):
        self.load.stop()

    def flow(self, seconds=1.0):
        """Waits until a stretch of load is acknowledged after this call: so much as goes through
        in so many seconds without a fault. Before and after each fault, or the fault hits nothing."""
        target = self.load.acknowledged + int(RATE * seconds)

        def flowed():
            assert not self.load.errors, self.load.errors
            return self.load.acknowledged >= target

        wait_until(flowed, _IN_SYNC_TIMEOUT, f"{int(RATE * seconds)} more acknowledgements")

    def leader(self):
        return self.cluster.leader(self.topic, 0)

    def in_sync(self):
        self.cluster.wait_in_sync(self.topic, _IN_SYNC_TIMEOUT)

    def finish(self, expects_fault=True):
        """Ends the load, reads everything back, compares, and says what was found."""
        history = self.load.finish()
        self.in_sync()
        ends = self.ends = {p: self.cluster.end_offset(self.topic, p) for p in range(PARTITIONS)}
        read = read_all(self.cluster.bootstrap, self.topic, ends)
        verdict = judge(history, read, VALUE_BYTES)
        report = self.report
        for name in ("acknowledged", "lost", "doubled", "reordered", "foreign", "holes"):
            setattr(report, name, getattr(verdict, name))
        report.unanswered = verdict.unknown
        report.examples = verdict.examples + self.load.errors
        report.stall_s = round(max(sends.stall for sends in history.values()), 3)
        report.stalls = self._stalls(history)
        report.fired = self.faults.fired
        self._compare(ends)
        self._must_fire(history, expects_fault)
        return report

    def _stalls(self, history):
        struck = [*self.faults.struck, time.monotonic()]
        return [round(max(sends.stall_between(start, end) for sends in history.values()), 3)
                for start, end in zip(struck, struck[1:])]

    def _compare(self, ends):
        report = self.report
        for partition, end in ends.items():
            places = self.cluster.log_directories(self.topic, partition)
            found = self._settled(list(places.values()), end)
            if len(places) != 3:
                found.differences.append(f"partition {partition} is on nodes {list(places)} only")
            report.diverged += len(found.differences)
            report.examples += found.differences
            report.compared_mb += found.bytes / 1e6
            report.segments = max(report.segments, *found.segments)
            report.leader_epochs += len(found.leader_epochs)
        report.compared_mb = round(report.compared_mb, 1)

    @staticmethod
    def _settled(places, end):
        """Files may be in motion for a moment yet: a follower that is in sync may have the last
        batches to write still. What differs for good differs after a while too."""
        deadline = time.monotonic() + 5
        while True:
            found = compare_replicas(places, end)
            if not found.differences or time.monotonic() > deadline:
                return found
            time.sleep(0.2)

    def _must_fire(self, history, expects_fault):
        if any(not sends.acknowledged for sends in history.values()):
            raise Void("a partition acknowledged nothing")
        if expects_fault and not self.faults.count():
            raise Void("no fault fired")
        if self.report.segments < 2:
            raise Void("no segment rolled")
