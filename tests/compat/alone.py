"""A single node that is asked by raw requests, as in the measured scenarios."""

import struct
import uuid
from dataclasses import dataclass

from harness import Cluster, messages, wait_until

# Quick to compact; retention and roll as a static file may have them in hours.
OVERRIDES = {
    "num.partitions": 1,
    "default.replication.factor": 1,
    "min.insync.replicas": 1,
    "offsets.topic.replication.factor": 1,
    "group.initial.rebalance.delay.ms": 0,
    "log.cleaner.backoff.ms": 500,
    "log.retention.check.interval.ms": 1000,
    "log.initial.task.delay.ms": 500,
    "log.retention.hours": 24,
    "log.roll.hours": 12,
}
WAIT = 60.0
# INVALID_REPLICATION_FACTOR: no broker to place a replica on.
FENCED = 38


@dataclass
class Stored:
    """The header of a batch as a consumer gets it; `whole` is false for a cut one."""

    base_offset: int
    last_offset: int
    attributes: int
    base_timestamp: int
    max_timestamp: int
    count: int
    records: bytes
    whole: bool

    @property
    def delete_horizon(self):
        return self.base_timestamp if self.attributes & 0x40 else None


def stored(data):
    """All batches of a fetched piece, a last one that is cut included."""
    found = []
    while data:
        if len(data) < 61:
            return [*found, Stored(-1, -1, 0, 0, 0, 0, b"", False)]
        base, length = struct.unpack(">qi", data[:12])
        attributes, delta, first, latest, *_, count = struct.unpack(">hiqqqhii", data[21:61])
        end = 12 + length
        found.append(Stored(base, base + delta, attributes, first, latest, count, data[61:end],
                            len(data) >= end))
        data = data[end:]
    return found


class Alone(Cluster):
    def __init__(self, system):
        super().__init__(system, count=1, overrides=OVERRIDES)
        self.ids = {}

    @property
    def address(self):
        return self.nodes[1].address

    def connect(self):
        return messages.Connection(self.address)

    def ask(self, api, version, **fields):
        return messages.ask(self.address, api, version, **fields)

    def load_coordinator(self):
        """Until groups are served. Asking for a coordinator makes the internal topic."""
        self.coordinator("any", WAIT)
        ready = lambda: self.ask("Heartbeat", 4, groupId="any", memberId="m").errorCode == 25
        wait_until(ready, WAIT, "the coordinator having loaded")

    def topic(self, partitions=1, **configs):
        """Makes a topic that is ready to use and keeps old timestamps."""
        name = f"t-{uuid.uuid4().hex[:12]}"
        configs = {"retention.ms": -1} | {k.replace("_", "."): v for k, v in configs.items()}
        wanted = {
            "name": name, "numPartitions": partitions, "replicationFactor": 1, "assignments": [],
            "configs": [{"name": k, "value": str(v)} for k, v in configs.items()],
        }

        def create():
            made = self.ask("CreateTopics", 7, timeoutMs=30000, topics=[wanted]).topics[0]
            return None if made.errorCode == FENCED else made  # just after a start

        made = wait_until(create, WAIT, "the broker being unfenced")
        assert made.errorCode == 0, made
        self.ids[name] = made.topicId
        self.wait_in_sync(name)
        for partition in range(partitions):
            self.end_offset(name, partition)
        return name

    def produce(self, topic, data, partition=0):
        """The answer of the one partition, by Produce 12."""
        answer = self.ask("Produce", 12, acks=-1, timeoutMs=30000, topicData=[
            {"name": topic, "partitionData": [{"index": partition, "records": data}]}])
        return answer.responses[0].partitionResponses[0]

    def fetch(self, topic, offset=0, version=18):
        """The answer of partition 0."""
        named = {"topicId": self.ids[topic]} if version >= 13 else {"topic": topic}
        answer = self.ask("Fetch", version, maxWaitMs=100, minBytes=1, topics=[{**named,
            "partitions": [
                {"partition": 0, "fetchOffset": offset, "partitionMaxBytes": 1 << 20}]}])
        return answer.responses[0].partitions[0]

    def offset_at(self, topic, timestamp):
        """What ListOffsets 11 tells: the partition's answer."""
        answer = self.ask("ListOffsets", 11, replicaId=-1, timeoutMs=30000, topics=[
            {"name": topic, "partitions": [{"partitionIndex": 0, "timestamp": timestamp}]}])
        return answer.topics[0].partitions[0]

    def restart_orderly(self):
        self.terminate(1)
        self.start_node(1)

    def wait_led(self, topic):
        """Until a partition is served again."""
        wait_until(lambda: self.offset_at(topic, -1).errorCode == 0, WAIT, f"{topic} being served")
