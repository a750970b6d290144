"""Load by a real client (librdkafka), written down in a history; and the reading back."""

import threading
import time

import confluent_kafka
from confluent_kafka import TopicPartition
from harness.history import now
from values import value

# Answers that prove that nothing was appended. Whatever else goes wrong leaves the question open.
_REFUSALS = {
    confluent_kafka.KafkaError.MSG_SIZE_TOO_LARGE,
    confluent_kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED,
    confluent_kafka.KafkaError.INVALID_MSG,
}
_TICK = 0.01
# Longer than any fault: what is not acknowledged after healing is a fault of its own.
_MESSAGE_TIMEOUT_MS = 120_000
# A prober does not hide how fast a cluster recovers behind its own patience, as the defaults would
# (reconnects after up to 10 s, answers awaited for 60 s).
PROBER = {
    "linger.ms": 0,
    "retry.backoff.ms": 20,
    "retry.backoff.max.ms": 100,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "socket.timeout.ms": 1000,
    "request.timeout.ms": 1000,
    "socket.connection.setup.timeout.ms": 1000,
    "topic.metadata.refresh.fast.interval.ms": 50,
}


class Load:
    """An idempotent acks=all producer that sends `rate` records a second, spread evenly over the
    partitions, from `start` until `finish`, and writes every outcome into the history."""

    def __init__(self, bootstrap, history, topic, partitions, rate, size, number=1, settings=()):
        self.topic = topic
        self.errors = []  # what the client itself calls fatal
        self.notices = []  # what it tells its user besides lost connections and unsent records
        self.failed = []  # records that it gave up
        self.acknowledged = [0] * partitions
        self._history = history
        self._number = number
        self._size = size
        self._rate = rate
        self._began = [[] for _ in range(partitions)]  # of every record, by counter
        self._open = [set() for _ in range(partitions)]  # counters without an answer yet
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
            **dict(settings),
        })

    def start(self):
        self._thread.start()
        return self

    @property
    def unanswered(self):
        return sum(map(len, self._open))

    def finish(self, timeout=_MESSAGE_TIMEOUT_MS / 1000 + 10):
        """Stops sending and waits for the answers to all that was sent; what has none then is
        written down as that."""
        self.stop()
        self._producer.flush(timeout)
        for partition, counters in enumerate(self._open):
            for counter in sorted(counters):
                self._put(partition, counter, "unknown")

    def stop(self):
        self._stopping.set()
        self._thread.join()

    def _put(self, partition, counter, outcome, offset=None):
        self._history.sent(self._number, self.topic, partition, counter,
                           self._began[partition][counter], outcome, offset)

    def _on_error(self, error):
        if error.fatal():
            self.errors.append(error.str())
        elif error.code() != confluent_kafka.KafkaError._TRANSPORT:
            self.notices.append(error.str())

    def _run(self):
        partitions = len(self._began)
        started, sent = time.monotonic(), 0
        while not self._stopping.is_set():
            due = int((time.monotonic() - started) * self._rate)
            while sent < due and not self._stopping.is_set():
                self._send(sent % partitions)
                sent += 1
            self._producer.poll(_TICK)

    def _send(self, partition):
        counter = len(self._began[partition])
        data = value(self._number, partition, counter, self._size)

        def delivered(error, message):
            if error is None:
                self._open[partition].discard(counter)
                self.acknowledged[partition] += 1
                # The client may not learn the offset of a record that it sent twice (-1).
                self._put(partition, counter, "ok", message.offset())
                return
            self.failed.append(f"{partition}: record {counter}: {error.str()}")
            if error.code() in _REFUSALS:
                self._open[partition].discard(counter)
                self._put(partition, counter, "refused")

        began = now()
        while not self._stopping.is_set():
            try:
                self._producer.produce(self.topic, data, partition=partition, on_delivery=delivered)
                self._began[partition].append(began)
                self._open[partition].add(counter)
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
