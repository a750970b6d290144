"""A group member that reads along while faults strike."""

import threading
import time

import confluent_kafka
from harness import wait_until
from values import contents


class Reader:
    """Reads a topic as the only member of a group, from the beginning, until `finish`, and writes
    what it is handed into the history. After a rebalance it reads again from what it committed last:
    that is a new session."""

    def __init__(self, bootstrap, history, topic, number=100):
        self.topic = topic
        self.errors = []  # what the client hands to its user
        self.longest_pause = 0.0
        self._history = history
        self._number = number
        self._session = 0
        self._next = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._consumer = confluent_kafka.Consumer({
            "bootstrap.servers": bootstrap,
            "group.id": f"group-{topic}",
            "auto.offset.reset": "earliest",
            "auto.commit.interval.ms": 200,
            "error_cb": self._on_error,
            "log_level": 2,
        })

    def start(self):
        self._consumer.subscribe([self.topic], on_assign=self._on_assign)
        self._thread.start()
        return self

    def finish(self, ends, timeout=60.0):
        """Waits until everything below `ends` (partition -> end offset) is read, and stops."""
        def through():
            return all(self._next.get(p, 0) >= end for p, end in ends.items())

        try:
            wait_until(through, timeout, f"{self._next} reaching {ends}")
        finally:
            self.stop()

    def stop(self):
        if not self._stopping.is_set():
            self._stopping.set()
            self._thread.join()
            self._consumer.close()

    def _on_assign(self, *_):
        self._session += 1

    def _on_error(self, error):
        # A lost connection is what the test does; the client goes on by itself.
        if error.fatal() or error.code() != confluent_kafka.KafkaError._TRANSPORT:
            self.errors.append(error.str())

    def _run(self):
        last = None
        while not self._stopping.is_set():
            messages = self._consumer.consume(500, 0.1)
            by_partition = {}
            for message in messages:
                if message.error():
                    self.errors.append(message.error().str())
                    continue
                read = by_partition.setdefault(message.partition(), [])
                read.append((message.offset(), message.value()))
            if not by_partition:
                continue
            at = time.monotonic()
            self.longest_pause = max(self.longest_pause, at - (last or at))
            last = at
            for partition, read in by_partition.items():
                named, damaged = contents(read, partition)
                self._history.read(self._number, self.topic, partition, named,
                                   session=self._session, damaged=damaged)
                self._next[partition] = max(self._next.get(partition, 0), read[-1][0] + 1)
