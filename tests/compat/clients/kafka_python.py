"""kafka-python."""

import threading

import kafka
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError
from harness import wait_until

from .base import TIMEOUT, AdminClient, Client, Consumed, Refused, Stream


def refused(error):
    return Refused(getattr(error, "errno", -1), str(error))


class KafkaPython(Client):
    name = "kafka-python"

    def _producer(self, bootstrap, **settings):
        return kafka.KafkaProducer(
            bootstrap_servers=bootstrap.split(","),
            max_request_size=10_000_000,
            delivery_timeout_ms=TIMEOUT * 1000,
            request_timeout_ms=10_000,
            linger_ms=5,
            **settings,
        )

    def produce(self, bootstrap, topic, records, partition=None, acks="all", codec="none",
                idempotent=False):
        producer = self._producer(
            bootstrap,
            acks="all" if acks == "all" else int(acks),
            compression_type=None if codec == "none" else codec,
            enable_idempotence=idempotent,
        )
        try:
            futures = [
                producer.send(topic, r.value, r.key, headers=r.headers, partition=partition,
                              timestamp_ms=r.timestamp)
                for r in records
            ]
            for future in futures:
                future.get(TIMEOUT)
        except KafkaError as error:
            raise refused(error) from error
        finally:
            producer.close(TIMEOUT)

    def _consumer(self, bootstrap, **settings):
        return kafka.KafkaConsumer(
            bootstrap_servers=bootstrap.split(","),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            **settings,
        )

    def consume(self, bootstrap, topic, count, partition=None):
        # It gives up where the first broker that it asks dies under it.
        consumer = wait_until(lambda: self._consumer(bootstrap), TIMEOUT, "a connection")
        try:
            known = lambda: consumer.partitions_for_topic(topic)
            partitions = wait_until(known, TIMEOUT, "the partitions")
            if partition is not None:
                partitions = [partition]
            consumer.assign([TopicPartition(topic, p) for p in partitions])
            return self._take(consumer, count)
        finally:
            consumer.close()

    @staticmethod
    def _take(consumer, count):
        records = []
        while len(records) < count:
            polled = consumer.poll(timeout_ms=TIMEOUT * 1000, max_records=count - len(records))
            assert polled, f"{len(records)} of {count} records came"
            for batch in polled.values():
                records += [
                    Consumed(r.partition, r.offset, r.key, r.value, list(r.headers), r.timestamp,
                             r.timestamp_type == 1)
                    for r in batch
                ]
        return records

    def consume_group(self, bootstrap, topic, count, group):
        consumer = self._consumer(bootstrap, group_id=group)
        try:
            consumer.subscribe([topic])
            records = self._take(consumer, count)
            consumer.commit()
            return records
        finally:
            consumer.close()

    def stream(self, bootstrap, topic):
        return _Stream(self._producer(bootstrap, acks="all", enable_idempotence=True), topic)


class _Stream(Stream):
    IN_FLIGHT = 200

    def __init__(self, producer, topic):
        self.producer = producer
        self.topic = topic
        self.futures = []
        self.room = threading.Semaphore(self.IN_FLIGHT)
        self.acked = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        number = 0
        while not self.stopping.is_set():
            if not self.room.acquire(timeout=0.05):
                continue
            future = self.producer.send(self.topic, str(number).encode(), partition=0)
            future.add_both(lambda _: self.room.release())
            future.add_callback(self._delivered)
            self.futures.append((number, future))
            number += 1

    def _delivered(self, _):
        self.acked += 1

    def acknowledged(self):
        return self.acked

    def finish(self):
        self.stopping.set()
        self.thread.join(TIMEOUT)
        acked = []
        try:
            for number, future in self.futures:
                future.get(TIMEOUT)
                acked.append(number)
        except KafkaError as error:
            raise refused(error) from error
        finally:
            self.producer.close(TIMEOUT)
        return acked

    def abort(self):
        self.stopping.set()
        self.producer.close(1)


class KafkaPythonAdmin(AdminClient):
    name = "kafka-python"

    def _call(self, bootstrap, act):
        client = kafka.KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
        try:
            return act(client)
        except KafkaError as error:
            raise refused(error) from error
        finally:
            client.close()

    def create(self, bootstrap, topic, partitions, factor, configs=None):
        new = {"num_partitions": partitions, "replication_factor": factor}
        if configs:
            new["configs"] = configs
        self._call(bootstrap, lambda c: c.create_topics({topic: new}))

    def delete(self, bootstrap, topic):
        self._call(bootstrap, lambda c: c.delete_topics([topic]))

    def add_partitions(self, bootstrap, topic, total):
        self._call(bootstrap, lambda c: c.create_partitions({topic: total}))

    def names(self, bootstrap):
        return set(self._call(bootstrap, lambda c: c.list_topics()))

    def describe(self, bootstrap, topic):
        described = self._call(bootstrap, lambda c: c.describe_topics([topic]))[0]
        if described["error_code"]:
            raise Refused(described["error_code"], "describe")
        return {
            p["partition_index"]: (p["leader_id"], p["replica_nodes"], p["isr_nodes"])
            for p in described["partitions"]
        }

    def set_config(self, bootstrap, topic, key, value):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {key: value})
        self._call(bootstrap, lambda c: c.alter_configs([resource]))

    def config(self, bootstrap, topic, key):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {key: None})
        described = self._call(
            bootstrap, lambda c: c.describe_configs([resource], config_filter="all")
        )
        value = described["topic"][topic][key]
        return value["value"] if isinstance(value, dict) else value

    def delete_records(self, bootstrap, topic, partition, offset):
        at = TopicPartition(topic, partition)
        result = self._call(bootstrap, lambda c: c.delete_records({at: offset}))[at]
        return result["low_watermark"] if isinstance(result, dict) else result.low_watermark
