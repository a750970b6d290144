"""What is refused on purpose is refused at once, with an error that the client understands."""

import asyncio
import time

import aiokafka
import confluent_kafka
import kafka
import pytest
from clients.base import TIMEOUT, Refused
from clients.java import TOOLS, run
from kafka.admin import (ACLFilter, ACLOperation, ACLPermissionType, ACLResourcePatternType,
                         ResourcePatternFilter, ResourceType)

# Far below any client's own timeout.
AT_ONCE = 10.0

# Until transactions are there. Apache Kafka has them.
NO_TRANSACTIONS = "Ottla has no transactions yet; Kafka has"


def confluent(bootstrap, name):
    settings = {"bootstrap.servers": bootstrap, "transactional.id": name}
    with pytest.raises(confluent_kafka.KafkaException) as refused:
        confluent_kafka.Producer(settings).init_transactions(TIMEOUT)
    assert refused.value.args[0].fatal()


def kafka_python(bootstrap, name):
    producer = kafka.KafkaProducer(bootstrap_servers=bootstrap.split(","), transactional_id=name)
    try:
        with pytest.raises(kafka.errors.KafkaError):
            producer.init_transactions()
    finally:
        producer.close(1)


def aio_kafka(bootstrap, name):
    async def run():
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=name)
        try:
            with pytest.raises(aiokafka.errors.KafkaError):
                await asyncio.wait_for(producer.start(), TIMEOUT)
        finally:
            await producer.stop()

    asyncio.run(run())


def java(bootstrap, name):
    with pytest.raises(Exception) as refused:
        run("org.apache.kafka.tools.ProducerPerformance", "--topic", name, "--num-records", "1",
            "--record-size", "10", "--throughput", "-1", "--transactional-id", name,
            "--bootstrap-server", bootstrap)
    assert "TransactionalIdAuthorizationException" in str(refused.value) \
        or "KafkaException" in str(refused.value)


@pytest.mark.parametrize("client", [confluent, kafka_python, aio_kafka, java],
                         ids=lambda client: client.__name__)
def test_a_transactional_producer_ends_at_once(client, system, bootstrap, make_topic):
    if system != "ottla":
        pytest.skip(NO_TRANSACTIONS)
    topic = make_topic(partitions=1)
    began = time.monotonic()
    client(bootstrap, topic)
    assert time.monotonic() - began < AT_ONCE


def test_acls_are_not_enabled(bootstrap):
    everything = ACLFilter(
        principal=None, host=None, operation=ACLOperation.ANY,
        permission_type=ACLPermissionType.ANY,
        resource_pattern=ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY))
    client = kafka.KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    try:
        with pytest.raises(kafka.errors.SecurityDisabledError):
            client.describe_acls(everything)
    finally:
        client.close()


def test_the_acl_tool_says_that_security_is_disabled(bootstrap):
    with pytest.raises(Refused) as refused:
        run(f"{TOOLS}.AclCommand", "--bootstrap-server", bootstrap, "--list")
    assert "SecurityDisabledException: No Authorizer is configured" in str(refused.value)
