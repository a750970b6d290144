"""Load by a real client (librdkafka), with its history; and the reading back."""

import threading
import time

import confluent_kafka
from confluent_kafka import TopicPartition
from history import PartitionHistory, value

# Answers that prove that nothing was appended. Whatever else goes wrong leaves the question open.
_REFUSALS = {
    confluent_kafka.KafkaError.MSG_SIZE_TOO_LARGE,
    confluent_kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED,
    confluent_kafka.KafkaError.INVALID_MSG,
}
_TICK = 0.01
# Longer than any fault: what is not acknowledged after healing is a fault of its own.
_MESSAGE_TIMEOUT_MS = 120_000


class Load:
    """An idempotent acks=all producer that sends `rate` records a second, spread evenly over the
    partitions, from `start` until `finish`."""

    def __init__(self, bootstrap, topic, partitions, rate, size):
        self.topic = topic
        self.size = size
        self.history = {p: PartitionHistory() for p in range(partitions)}
        self.errors = []  # what the client itself calls fatal
        self.notices = []  # what it tells its user besides lost connections and unsent records
        self.failed = []  # records that it gave up
        self._rate = rate
        self._acknowledged = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._producer = confluent_kafka.Producer({
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 2,
            "message.timeout.ms": _MESSAGE_TIMEOUT_MS,
            "queue.buffering.max.messages": 1_000_000,
            "error_cb": self._on_error,
            # What it logs of lost connections is what the test does.
            "log_level": 2,
        })

    def start(self):
        self._thread.start()
        return self

    @property
    def acknowledged(self):
        return self._acknowledged

    def finish(self, timeout=_MESSAGE_TIMEOUT_MS / 1000 + 10):
        """Stops sending, waits for the answers to all that was sent, and returns the history."""
        self.stop()
        self._producer.flush(timeout)
        for sends in self.history.values():
            answered = sends.acknowledged.keys() | sends.refused
            sends.unknown = set(range(sends.sent)) - answered
        return self.history

    def stop(self):
        self._stopping.set()
        self._thread.join()

    def _on_error(self, error):
        if error.fatal():
            self.errors.append(error.str())
        elif error.code() != confluent_kafka.KafkaError._TRANSPORT:
            self.notices.append(error.str())

    def _run(self):
        partitions = len(self.history)
        started, sent = time.monotonic(), 0
        while not self._stopping.is_set():
            due = int((time.monotonic() - started) * self._rate)
            while sent < due and not self._stopping.is_set():
                self._send(sent % partitions)
                sent += 1
            self._producer.poll(_TICK)

    def _send(self, partition):
        sends = self.history[partition]
        counter = sends.sent
        data = value(partition, counter, self.size)

        def delivered(error, message):
            if error is None:
                sends.acknowledge(counter, message.offset(), time.monotonic())
                self._acknowledged += 1
            else:
                self.failed.append(f"{partition}: record {counter}: {error.str()}")
                if error.code() in _REFUSALS:
                    sends.refused.add(counter)

        while not self._stopping.is_set():
            try:
                self._producer.produce(self.topic, data, partition=partition, on_delivery=delivered)
                sends.sent += 1
                return
            except BufferError:
                self._producer.poll(_TICK)
            except confluent_kafka.KafkaException as error:
                # A fatal error of an idempotent producer: it takes no more.
                self.errors.append(str(error))
                self._stopping.set()
                return


def read_all(bootstrap, topic, ends, timeout=60.0):
    """Everything from the beginning to `ends` (partition -> end offset), as a new client reads it:
    partition -> [(offset, value)]."""
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": "none",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "check.crcs": True,
    })
    read = {partition: [] for partition in ends}
    open_partitions = {p for p, end in ends.items() if end > 0}
    deadline = time.monotonic() + timeout
    try:
        consumer.assign([TopicPartition(topic, p, 0) for p in open_partitions])
        while open_partitions:
            if time.monotonic() > deadline:
                raise TimeoutError(f"partitions {open_partitions} were not read to {ends}")
            for message in consumer.consume(5000, 0.2):
                if message.error():
                    raise confluent_kafka.KafkaException(message.error())
                partition, offset = message.partition(), message.offset()
                read[partition].append((offset, message.value()))
                if offset + 1 >= ends[partition]:
                    open_partitions.discard(partition)
    finally:
        consumer.close()
    return read
