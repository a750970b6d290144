"""A group member that reads along while faults strike."""

import threading
import time

import confluent_kafka


class Reader:
    """Reads a topic as the only member of a group, from the beginning, until `finish`.

    What it promises to notice: an offset that does not follow the one before it, and every error
    that the client hands to its user."""

    def __init__(self, bootstrap, topic, group):
        self.topic = topic
        self.errors = []  # what the client says, and offsets out of order
        self.read = {}  # partition -> how many
        self.longest_pause = 0.0
        self._next = {}
        self._target = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._consumer = confluent_kafka.Consumer({
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "auto.commit.interval.ms": 200,
            "error_cb": self._on_error,
            "log_level": 2,
        })

    def start(self):
        self._consumer.subscribe([self.topic])
        self._thread.start()
        return self

    def finish(self, ends, timeout=60.0):
        """Waits until everything below `ends` (partition -> offset) is read, and stops."""
        deadline = time.monotonic() + timeout
        while any(self._next.get(p, 0) < end for p, end in ends.items()):
            if time.monotonic() > deadline:
                self.errors.append(f"read up to {self._next} only, not {ends}")
                break
            time.sleep(0.01)
        self.stop()
        return self.errors

    def stop(self):
        self._stopping.set()
        self._thread.join()
        self._consumer.close()

    def _on_error(self, error):
        # A lost connection is what the test does; the client goes on by itself.
        if error.fatal() or error.code() != confluent_kafka.KafkaError._TRANSPORT:
            self.errors.append(error.str())

    def _run(self):
        last = None
        while not self._stopping.is_set():
            message = self._consumer.poll(0.1)
            if message is None:
                continue
            if message.error():
                self.errors.append(message.error().str())
                continue
            now = time.monotonic()
            if last is not None:
                self.longest_pause = max(self.longest_pause, now - last)
            last = now
            partition, offset = message.partition(), message.offset()
            # After a rebalance it reads again from what it committed last.
            if offset > self._next.get(partition, 0):
                self.errors.append(f"{partition}: {offset} after {self._next.get(partition, 0)}")
            self._next[partition] = max(self._next.get(partition, 0), offset + 1)
            self.read[partition] = self.read.get(partition, 0) + 1
