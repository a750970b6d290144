"""aiokafka."""

import asyncio
import threading

import aiokafka
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from .base import TIMEOUT, AdminClient, Client, Consumed, Refused, Stream


def refused(error):
    return Refused(getattr(error, "errno", -1), str(error))


class AioKafka(Client):
    name = "aiokafka"

    def produce(self, bootstrap, topic, records, partition=None, acks="all", codec="none",
                idempotent=False):
        async def run():
            producer = aiokafka.AIOKafkaProducer(
                bootstrap_servers=bootstrap,
                acks="all" if acks == "all" else int(acks),
                compression_type=None if codec == "none" else codec,
                enable_idempotence=idempotent,
                max_request_size=10_000_000,
            )
            await producer.start()
            try:
                futures = [
                    await producer.send(topic, r.value, r.key, partition=partition,
                                        timestamp_ms=r.timestamp, headers=r.headers)
                    for r in records
                ]
                await asyncio.wait_for(asyncio.gather(*futures), TIMEOUT)
            except KafkaError as error:
                raise refused(error) from error
            finally:
                await producer.stop()

        asyncio.run(run())

    def consume(self, bootstrap, topic, count, partition=None):
        async def run():
            consumer = self._consumer(bootstrap)
            await consumer.start()
            try:
                partitions = [partition]
                if partition is None:
                    await consumer._client.force_metadata_update()
                    consumer._client.set_topics([topic])
                    await consumer._client.force_metadata_update()
                    partitions = consumer.partitions_for_topic(topic)
                consumer.assign([TopicPartition(topic, p) for p in partitions])
                return await self._take(consumer, count)
            finally:
                await consumer.stop()

        return asyncio.run(run())

    @staticmethod
    def _consumer(bootstrap, *topics, **settings):
        return aiokafka.AIOKafkaConsumer(
            *topics,
            bootstrap_servers=bootstrap,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            **settings,
        )

    @staticmethod
    async def _take(consumer, count):
        records = []
        while len(records) < count:
            polled = await consumer.getmany(timeout_ms=TIMEOUT * 1000,
                                            max_records=count - len(records))
            assert polled, f"{len(records)} of {count} records came"
            for batch in polled.values():
                records += [
                    Consumed(r.partition, r.offset, r.key, r.value, list(r.headers), r.timestamp,
                             r.timestamp_type == 1)
                    for r in batch
                ]
        return records

    def consume_group(self, bootstrap, topic, count, group):
        async def run():
            consumer = self._consumer(bootstrap, topic, group_id=group)
            await consumer.start()
            try:
                records = await self._take(consumer, count)
                await consumer.commit()
                return records
            finally:
                await consumer.stop()

        return asyncio.run(run())

    def stream(self, bootstrap, topic):
        return _Stream(bootstrap, topic)


class _Stream(Stream):
    IN_FLIGHT = 200

    def __init__(self, bootstrap, topic):
        self.bootstrap = bootstrap
        self.topic = topic
        self.acked = []
        self.failure = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.thread.start()

    async def _run(self):
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, acks="all", enable_idempotence=True
        )
        await producer.start()
        room = asyncio.Semaphore(self.IN_FLIGHT)
        open_sends = set()
        number = 0
        try:
            while not self.stopping.is_set():
                await room.acquire()
                future = await producer.send(self.topic, str(number).encode(), partition=0)
                task = asyncio.ensure_future(self._settle(number, future, room))
                open_sends.add(task)
                task.add_done_callback(open_sends.discard)
                number += 1
            if open_sends:
                await asyncio.wait_for(asyncio.gather(*open_sends), TIMEOUT)
        except Exception as error:
            self.failure = self.failure or error
        finally:
            await producer.stop()

    async def _settle(self, number, future, room):
        try:
            await future
            self.acked.append(number)
        except Exception as error:
            self.failure = self.failure or error
        finally:
            room.release()

    def acknowledged(self):
        return len(self.acked)

    def finish(self):
        self.stopping.set()
        self.thread.join(2 * TIMEOUT)
        assert not self.thread.is_alive(), "records left over"
        if self.failure:
            raise refused(self.failure)
        return sorted(self.acked)

    def abort(self):
        self.stopping.set()


class AioKafkaAdmin(AdminClient):
    name = "aiokafka"

    @staticmethod
    def _call(bootstrap, act):
        async def run():
            client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
            await client.start()
            try:
                return await act(client)
            except KafkaError as error:
                raise refused(error) from error
            finally:
                await client.close()

        return asyncio.run(run())

    @staticmethod
    def _check(response):
        """Errors come inside the response: [(topic, code, ...)]."""
        errors = getattr(response, "topic_errors", None) or getattr(
            response, "topic_error_codes", []
        )
        for error in errors:
            if error[1]:
                raise Refused(error[1], str(error))

    def create(self, bootstrap, topic, partitions, factor, configs=None):
        new = NewTopic(topic, partitions, factor, topic_configs=configs or {})
        self._check(self._call(bootstrap, lambda c: c.create_topics([new])))

    def delete(self, bootstrap, topic):
        self._check(self._call(bootstrap, lambda c: c.delete_topics([topic])))

    def add_partitions(self, bootstrap, topic, total):
        wanted = {topic: NewPartitions(total)}
        self._check(self._call(bootstrap, lambda c: c.create_partitions(wanted)))

    def names(self, bootstrap):
        return set(self._call(bootstrap, lambda c: c.list_topics()))

    def describe(self, bootstrap, topic):
        described = self._call(bootstrap, lambda c: c.describe_topics([topic]))[0]
        if described["error_code"]:
            raise Refused(described["error_code"], "describe")
        return {
            p["partition"]: (p["leader"], p["replicas"], p["isr"]) for p in described["partitions"]
        }

    def set_config(self, bootstrap, topic, key, value):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {key: value})
        for response in self._call(bootstrap, lambda c: c.alter_configs([resource])):
            for error in response.resources:
                if error[0]:
                    raise Refused(error[0], error[1])

    def config(self, bootstrap, topic, key):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {key: None})
        response = self._call(bootstrap, lambda c: c.describe_configs([resource]))[0]
        code, message, _, _, entries = response.resources[0][:5]
        if code:
            raise Refused(code, message)
        return {entry[0]: entry[1] for entry in entries}[key]

    def delete_records(self, bootstrap, topic, partition, offset):
        at = TopicPartition(topic, partition)
        wanted = {at: RecordsToDelete(offset)}
        return self._call(bootstrap, lambda c: c.delete_records(wanted))[at]
