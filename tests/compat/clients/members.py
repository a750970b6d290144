"""Members of a consumer group that read until they are told to leave, by each client."""

import asyncio
import subprocess
import threading

import aiokafka
import confluent_kafka
import kafka
from harness.kafka import tool

from .base import TIMEOUT

# Quick to notice a rebalance.
SESSION_MS = 10_000
HEARTBEAT_MS = 300


class Member:
    """Reads a topic as a member of a group. `values` grows as records come."""

    def __init__(self, bootstrap, topic, group):
        self.bootstrap, self.topic, self.group = bootstrap, topic, group
        self.values = []
        self.failure = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._guarded, daemon=True)
        self.thread.start()

    def _guarded(self):
        try:
            self._run()
        except Exception as error:
            self.failure = error

    def leave(self):
        """Leaves the group in order."""
        self.stopping.set()
        self.thread.join(TIMEOUT)
        assert not self.thread.is_alive(), "the member did not leave"
        if self.failure:
            raise self.failure


class ConfluentMember(Member):
    def _run(self):
        consumer = confluent_kafka.Consumer({
            "bootstrap.servers": self.bootstrap, "group.id": self.group,
            "auto.offset.reset": "earliest", "session.timeout.ms": SESSION_MS,
            "heartbeat.interval.ms": HEARTBEAT_MS, **self.SETTINGS,
        })
        consumer.subscribe([self.topic])
        while not self.stopping.is_set():
            message = consumer.poll(0.1)
            if message is not None and not message.error():
                self.values.append(message.value())
        consumer.close()

    SETTINGS = {}


class ConfluentCooperative(ConfluentMember):
    SETTINGS = {"partition.assignment.strategy": "cooperative-sticky"}


class KafkaPythonMember(Member):
    def _run(self):
        consumer = kafka.KafkaConsumer(
            self.topic, bootstrap_servers=self.bootstrap.split(","), group_id=self.group,
            auto_offset_reset="earliest", session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
        )
        while not self.stopping.is_set():
            for batch in consumer.poll(timeout_ms=100).values():
                self.values += [record.value for record in batch]
        consumer.close()


class AioKafkaMember(Member):
    def _run(self):
        asyncio.run(self._read())

    async def _read(self):
        consumer = aiokafka.AIOKafkaConsumer(
            self.topic, bootstrap_servers=self.bootstrap, group_id=self.group,
            auto_offset_reset="earliest", session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
        )
        await consumer.start()
        while not self.stopping.is_set():
            for batch in (await consumer.getmany(timeout_ms=100)).values():
                self.values += [record.value for record in batch]
        await consumer.stop()


class ProcessMember(Member):
    """A program that prints a line per record and leaves on SIGTERM."""

    def _run(self):
        command = self._command()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        threading.Thread(target=self._end, args=[process], daemon=True).start()
        for line in process.stdout:
            self.values.append(line.rstrip(b"\n"))
        process.wait(TIMEOUT)

    def _end(self, process):
        self.stopping.wait()
        process.terminate()


class KcatMember(ProcessMember):
    def _command(self):
        return ["kcat", "-b", self.bootstrap, "-G", self.group, "-q", "-u",
                "-X", "auto.offset.reset=earliest", "-X", f"session.timeout.ms={SESSION_MS}",
                "-X", f"heartbeat.interval.ms={HEARTBEAT_MS}", self.topic]


class JavaMember(ProcessMember):
    def _command(self):
        args = ["--bootstrap-server", self.bootstrap, "--topic", self.topic, "--group", self.group,
                "--from-beginning", "--command-property", f"session.timeout.ms={SESSION_MS}",
                "--command-property", f"heartbeat.interval.ms={HEARTBEAT_MS}"]
        return tool("org.apache.kafka.tools.consumer.ConsoleConsumer", *args)


MEMBERS = {
    "confluent": ConfluentMember,
    "confluent-cooperative": ConfluentCooperative,
    "kafka-python": KafkaPythonMember,
    "aiokafka": AioKafkaMember,
    "kcat": KcatMember,
    "java": JavaMember,
}
