"""confluent-kafka, that is librdkafka."""

import threading

import confluent_kafka
from confluent_kafka import TopicPartition
from confluent_kafka import admin as ck

from .base import TIMEOUT, AdminClient, Client, Consumed, Refused, Stream


def refused(error):
    return Refused(error.code(), error.str())


class Confluent(Client):
    name = "confluent"

    def _producer(self, bootstrap, **settings):
        return confluent_kafka.Producer({
            "bootstrap.servers": bootstrap,
            "message.max.bytes": 10_000_000,
            "linger.ms": 5,
            **settings,
        })

    def produce(self, bootstrap, topic, records, partition=None, acks="all", codec="none",
                idempotent=False):
        errors = []
        delivered = lambda error, _: errors.append(error) if error else None
        producer = self._producer(bootstrap, **{
            "acks": acks,
            "compression.type": codec,
            "enable.idempotence": idempotent,
        })
        for record in records:
            extra = {} if record.timestamp is None else {"timestamp": record.timestamp}
            if partition is not None:
                extra["partition"] = partition
            producer.produce(topic, record.value, record.key, headers=record.headers,
                             on_delivery=delivered, **extra)
        assert producer.flush(TIMEOUT) == 0, "records left over"
        if errors:
            raise refused(errors[0])

    def _consumer(self, bootstrap, **settings):
        return confluent_kafka.Consumer({
            "bootstrap.servers": bootstrap,
            "group.id": "none",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            **settings,
        })

    def consume(self, bootstrap, topic, count, partition=None):
        consumer = self._consumer(bootstrap)
        try:
            known = consumer.list_topics(topic, TIMEOUT).topics[topic].partitions
            partitions = list(known) if partition is None else [partition]
            consumer.assign([TopicPartition(topic, p, confluent_kafka.OFFSET_BEGINNING)
                             for p in partitions])
            return [self._record(m) for m in self._take(consumer, count)]
        finally:
            consumer.close()

    @staticmethod
    def _take(consumer, count):
        messages = []
        while len(messages) < count:
            batch = consumer.consume(count - len(messages), TIMEOUT)
            assert batch, f"{len(messages)} of {count} records came"
            for message in batch:
                if message.error():
                    raise refused(message.error())
            messages += batch
        return messages

    @staticmethod
    def _record(message):
        kind, timestamp = message.timestamp()
        return Consumed(message.partition(), message.offset(), message.key(), message.value(),
                        message.headers() or [], timestamp,
                        kind == confluent_kafka.TIMESTAMP_LOG_APPEND_TIME)

    def consume_group(self, bootstrap, topic, count, group):
        consumer = self._consumer(bootstrap, **{"group.id": group})
        try:
            consumer.subscribe([topic])
            messages = self._take(consumer, count)
            ends = {m.partition(): m.offset() + 1 for m in messages}
            consumer.commit(offsets=[TopicPartition(topic, p, o) for p, o in ends.items()],
                            asynchronous=False)
            return [self._record(m) for m in messages]
        finally:
            consumer.close()

    def stream(self, bootstrap, topic):
        return _Stream(self._producer(bootstrap, **{"acks": "all", "enable.idempotence": True}),
                       topic)


class _Stream(Stream):
    IN_FLIGHT = 200

    def __init__(self, producer, topic):
        self.producer = producer
        self.topic = topic
        self.acked = []
        self.errors = []
        self.sent = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping.is_set():
            if self.sent - len(self.acked) - len(self.errors) < self.IN_FLIGHT:
                self.producer.produce(self.topic, str(self.sent), partition=0,
                                      on_delivery=self._delivered)
                self.sent += 1
                self.producer.poll(0)
            else:
                self.producer.poll(0.05)

    def _delivered(self, error, message):
        if error:
            self.errors.append(error)
        else:
            self.acked.append(int(message.value()))

    def acknowledged(self):
        return len(self.acked)

    def finish(self):
        self.stopping.set()
        self.thread.join(TIMEOUT)
        assert self.producer.flush(TIMEOUT) == 0, "records left over"
        if self.errors:
            raise refused(self.errors[0])
        return self.acked

    def abort(self):
        self.stopping.set()


class ConfluentAdmin(AdminClient):
    name = "confluent"
    # Kept for the whole run: the library drops its futures when the client object goes.
    _clients = {}

    def client(self, bootstrap):
        if bootstrap not in self._clients:
            self._clients[bootstrap] = ck.AdminClient({"bootstrap.servers": bootstrap})
        return self._clients[bootstrap]

    @staticmethod
    def _wait(futures):
        results = []
        for future in futures.values():
            try:
                results.append(future.result(TIMEOUT))
            except confluent_kafka.KafkaException as error:
                raise refused(error.args[0]) from error
        return results[0]

    def create(self, bootstrap, topic, partitions, factor, configs=None):
        new = ck.NewTopic(topic, partitions, factor, config=configs or {})
        self._wait(self.client(bootstrap).create_topics([new]))

    def delete(self, bootstrap, topic):
        self._wait(self.client(bootstrap).delete_topics([topic]))

    def add_partitions(self, bootstrap, topic, total):
        self._wait(self.client(bootstrap).create_partitions([ck.NewPartitions(topic, total)]))

    def names(self, bootstrap):
        return set(self.client(bootstrap).list_topics(timeout=TIMEOUT).topics)

    def describe(self, bootstrap, topic):
        topics = confluent_kafka.TopicCollection([topic])
        described = self._wait(self.client(bootstrap).describe_topics(topics))
        ids = lambda nodes: [node.id for node in nodes]
        return {p.id: (p.leader.id, ids(p.replicas), ids(p.isr)) for p in described.partitions}

    def set_config(self, bootstrap, topic, key, value):
        entry = ck.ConfigEntry(key, value, incremental_operation=ck.AlterConfigOpType.SET)
        resource = ck.ConfigResource(ck.ResourceType.TOPIC, topic, incremental_configs=[entry])
        self._wait(self.client(bootstrap).incremental_alter_configs([resource]))

    def config(self, bootstrap, topic, key):
        resource = ck.ConfigResource(ck.ResourceType.TOPIC, topic)
        return self._wait(self.client(bootstrap).describe_configs([resource]))[key].value

    def delete_records(self, bootstrap, topic, partition, offset):
        at = TopicPartition(topic, partition, offset)
        return self._wait(self.client(bootstrap).delete_records([at])).low_watermark

    def offset(self, bootstrap, topic, partition, spec):
        """The offset that an `OffsetSpec` finds, or -1."""
        at = TopicPartition(topic, partition)
        return self._wait(self.client(bootstrap).list_offsets({at: spec})).offset
