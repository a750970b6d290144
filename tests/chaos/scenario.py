"""One scenario: a topic under load, a fault, healing; everything read back, judged and compared.

Judged by `ottla verify check` from the history that load, prober and reader write; beside it the
replicas' files are compared byte by byte.
"""

import time
import uuid

from confluent_kafka.admin import AdminClient, NewTopic
from faults import Faults, Void
from harness import wait_until
from harness.history import HistoryFile, check
from harness.logs import compare_replicas
from load import PROBER, Load, read_all
from reader import Reader
from report import Report
from values import contents

PARTITIONS = 6
VALUE_BYTES = 1000
RATE = 2000
# A hundred records a second to each partition: what stalls are measured by.
PROBE_RATE = 100
PROBE_BYTES = 64
# The least that `segment.bytes` may be: segments roll every few seconds.
SEGMENT_BYTES = 1 << 20
_LOAD, _PROBER, _READER, _FINAL = 1, 2, 100, 101


class Scenario:
    """Use: `with Scenario(...) as s: s.faults.kill(...)`, then `s.finish()` for the report."""

    def __init__(self, name, cluster, configs=None, replicas=3, rate=RATE, size=VALUE_BYTES,
                 on=None):
        """`on` names the nodes that have the replicas, if it matters."""
        self.report = Report(name, cluster.system.name)
        self.cluster = cluster
        self.topic = f"chaos-{uuid.uuid4().hex[:8]}"
        self.replicas = replicas
        self.rate = rate
        self.size = size
        self.make_topic(self.topic, PARTITIONS, {"segment.bytes": SEGMENT_BYTES, **(configs or {})}, on)
        self.history = HistoryFile(cluster.directory / f"{self.topic}.jsonl",
                                   {self.topic: PARTITIONS}, probers=[_PROBER])
        self.faults = Faults(cluster, self.history)
        self.load = Load(cluster.bootstrap, self.history, self.topic, PARTITIONS, rate, size, _LOAD)
        self.prober = Load(cluster.bootstrap, self.history, self.topic, PARTITIONS,
                           PROBE_RATE * PARTITIONS, PROBE_BYTES, _PROBER, PROBER)
        self.reader = Reader(cluster.bootstrap, self.history, self.topic, _READER)

    def make_topic(self, name, partitions, configs=None, on=None):
        admin = AdminClient({"bootstrap.servers": self.cluster.bootstrap})
        configs = {"min.insync.replicas": 2, **(configs or {})}
        where = {"replication_factor": self.replicas}
        if on:
            where = {"replica_assignment": [on] * partitions}
        topic = NewTopic(name, partitions, **where,
                         config={key: str(value) for key, value in configs.items()})
        admin.create_topics([topic])[name].result(30)
        self.cluster.wait_everywhere(name)

    def __enter__(self):
        for client in (self.reader, self.load, self.prober):
            client.start()
        self.flow()
        return self

    def __exit__(self, error, *_):
        if error is None:
            self._fill_segments()
        self.load.stop()
        self.prober.stop()
        if error is not None:
            self.reader.stop()
            self.history.__exit__(error, None, None)

    def flow(self, seconds=1.0, partitions=range(PARTITIONS)):
        """Waits until every one of the partitions takes records, and a stretch of load is
        acknowledged after this call: so much as goes through in so many seconds without a fault.
        Before and after each fault, or the fault hits nothing."""
        total = sum(self.load.acknowledged) + int(self.rate * seconds)
        probes = {p: self.prober.acknowledged[p] + int(PROBE_RATE * seconds / 2) for p in partitions}

        def flowed():
            assert not self.load.errors + self.prober.errors, self.load.errors + self.prober.errors
            return (sum(self.load.acknowledged) >= total
                    and all(self.prober.acknowledged[p] >= least for p, least in probes.items()))

        wait_until(flowed, self.cluster.patience,
                   f"{seconds} s of acknowledgements in {partitions}")

    def leader(self, partition=0):
        return self.cluster.leader(self.topic, partition)

    def leaders(self):
        partitions = self.cluster.metadata([self.topic]).topics[self.topic]
        return {index: p.leader for index, p in partitions.items()}

    def in_sync(self):
        self.cluster.wait_in_sync(self.topic, self.cluster.patience)

    def heal(self):
        """The cluster is whole again: it must serve and come in sync."""
        self.faults.healed()
        self.flow()
        self.in_sync()

    def finish(self, expects_fault=True, allow=()):
        """Ends the load, reads everything back, compares, and says what was found."""
        self.load.finish()
        self.prober.finish()
        self.in_sync()
        self.reader.finish(self.ends())
        self.judge(allow)
        if expects_fault and not self.report.fired:
            raise Void("no fault fired")
        unknown = self.report.unknown
        assert unknown == 0, f"{unknown} records have no answer: {self.load.failed[:3]}"
        return self.report

    def ends(self):
        return {p: self.cluster.end_offset(self.topic, p) for p in range(PARTITIONS)}

    def judge(self, allow=()):
        """Reads everything back, has the history judged, and compares the replicas. All load has
        ended."""
        ends = self.ends()
        for partition, records in read_all(self.cluster.bootstrap, self.topic, ends).items():
            named, damaged = contents(records, partition)
            self.history.read(_FINAL, self.topic, partition, named, final=True, damaged=damaged)
            self.history.final_read(self.topic, partition, ends[partition])
        self.history.__exit__(None, None, None)
        _, judged = check(self.history.path, *(["--allow", ",".join(allow)] if allow else []))
        report = self.report
        report.take(judged)
        report.fired = self.faults.fired
        self._compare(ends)
        if report.void:
            raise Void(f"{report.void}; {self.history.path}")
        if report.segments < 2:
            raise Void("no segment rolled")
        return judged

    def _fill_segments(self):
        """What is compared are several segments of each partition."""
        least = SEGMENT_BYTES * 1.2 / self.size
        wait_until(lambda: min(self.load.acknowledged) > least, self.cluster.patience,
                   "segments rolling")

    def _compare(self, ends):
        for partition, end in ends.items():
            places = self.cluster.log_directories(self.topic, partition)
            found = self._settled(list(places.values()), end)
            if len(places) != self.replicas:
                found.differences.append(f"partition {partition} is on nodes {list(places)} only")
            self.report.take_comparison(found)

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
