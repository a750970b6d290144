"""A partition's leader killed again and again, seconds apart, while it comes back each time: what a
client waits for an acknowledgement, by librdkafka and by aiokafka with their own defaults, and by
librdkafka with the settings of the other scenarios' probers.

A client that remembers the last death does not have to find the next leader as fast as after the
first one: reconnects back off, and brokers that come back are known under old connections. So one
kill on a fresh cluster says little. `--rounds N` kills N times (at least three).
"""

import asyncio
import threading
import time

import confluent_kafka
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from confluent_kafka.admin import AdminClient, NewTopic
from harness import Cluster
from load import PROBER

TOPIC = "t"
EVERY = 0.01
BETWEEN = 4.0
AWAY = 1.0
KILLS_MIN = 3
# A client that has none after this has lost its way: the goal is a hundredth of it.
STALL_MAX = 60.0


class Prober:
    """Sends a record every hundredth of a second; keeps when each was acknowledged."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.acknowledged = []
        self.failed = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def finish(self):
        self.stopping.set()
        self.thread.join(STALL_MAX)
        assert not self.thread.is_alive(), f"{self.name} does not end"

    def stall(self, begin, end):
        """The longest time without an acknowledgement that ended in this span."""
        acknowledged = list(self.acknowledged)
        marks = [begin] + [at for at in acknowledged if begin < at <= end]
        # Not cut off where the next kill comes.
        marks.append(min((at for at in acknowledged if at > end), default=time.monotonic()))
        return max(later - earlier for earlier, later in zip(marks, marks[1:]))


class Librdkafka(Prober):
    def __init__(self, bootstrap, name="librdkafka", settings=()):
        super().__init__(bootstrap)
        self.name = name
        self.settings = dict(settings)

    def run(self):
        producer = confluent_kafka.Producer({
            "bootstrap.servers": self.bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 0,
            "log_level": 2,
            **self.settings,
        })
        due = time.monotonic()
        while not self.stopping.is_set():
            producer.produce(TOPIC, b"x", partition=0, on_delivery=self.delivered)
            due = max(due + EVERY, time.monotonic())
            while time.monotonic() < due:
                # Less than nothing would be for ever.
                producer.poll(max(0.0, due - time.monotonic()))
        producer.flush(STALL_MAX)

    def delivered(self, error, _):
        if error is None:
            self.acknowledged.append(time.monotonic())
        else:
            self.failed.append(error.str())


class Aiokafka(Prober):
    name = "aiokafka"

    def run(self):
        asyncio.run(self.send_all())

    async def send_all(self):
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, acks="all", enable_idempotence=True
        )
        await producer.start()
        open_futures = set()

        def delivered(future):
            open_futures.discard(future)
            if future.cancelled() or future.exception() is not None:
                self.failed.append(repr(future))
            else:
                self.acknowledged.append(time.monotonic())

        try:
            while not self.stopping.is_set():
                try:
                    future = await producer.send(TOPIC, b"x", partition=0)
                except KafkaError as error:
                    self.failed.append(repr(error))
                    continue
                open_futures.add(future)
                future.add_done_callback(delivered)
                await asyncio.sleep(EVERY)
            if open_futures:
                await asyncio.wait(set(open_futures), timeout=STALL_MAX)
        finally:
            await producer.stop()


def share(values, part):
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, round(part * (len(ranked) - 1)))]


@pytest.fixture
def three():
    with Cluster("ottla") as cluster:
        config = {"min.insync.replicas": "2"}
        topic = NewTopic(TOPIC, num_partitions=1, replication_factor=3, config=config)
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        admin.create_topics([topic])[TOPIC].result(30)
        cluster.wait_in_sync(TOPIC)
        yield cluster


def test_a_leader_killed_every_few_seconds_is_soon_replaced_for_each_client(three, rounds):
    probers = [
        Librdkafka(three.bootstrap).start(),
        Librdkafka(three.bootstrap, "librdkafka without patience", PROBER).start(),
        Aiokafka(three.bootstrap).start(),
    ]
    deadline = time.monotonic() + STALL_MAX
    while not all(prober.acknowledged for prober in probers):
        assert time.monotonic() < deadline, "a client does not begin"
        time.sleep(EVERY)
    spans = []
    for _ in range(max(KILLS_MIN, len(rounds))):
        victim = three.leader(TOPIC)
        begin = time.monotonic()
        three.kill(victim)
        three.leader(TOPIC, other_than=victim)
        time.sleep(max(0.0, AWAY - (time.monotonic() - begin)))
        three.start_node(victim)
        three.wait_in_sync(TOPIC)
        time.sleep(max(0.0, BETWEEN - (time.monotonic() - begin)))
        spans.append((begin, time.monotonic()))
    for prober in probers:
        prober.finish()
    for prober in probers:
        stalls = [prober.stall(begin, end) for begin, end in spans]
        shown = " ".join(f"{stall:.2f}" for stall in stalls)
        print(
            f"{prober.name}: {len(stalls)} kills, {len(prober.acknowledged)} acknowledged, "
            f"stalls p50 {share(stalls, 0.5):.2f} p99 {share(stalls, 0.99):.2f} "
            f"max {max(stalls):.2f} s ({shown})"
        )
        assert prober.failed == [], f"{prober.name} gave up records"
        assert max(stalls) < STALL_MAX, f"{prober.name} found no leader any more"
