"""Nodes on IPv6: an address has brackets beside a port, and nowhere else."""

import asyncio

import aiokafka
import kafka
import pytest
from clients.base import TIMEOUT
from harness import Cluster, messages, wait_until

HOST = "::1"


class OnIpv6(Cluster):
    def configure(self, id, **overrides):
        super().configure(id, **overrides)
        node = self.nodes[id]
        node.config.write_text(node.config.read_text().replace(node.host, f"[{HOST}]"))

    def start(self):
        for node in self.nodes.values():
            node.host = HOST
        return super().start()

    @property
    def bootstrap(self):
        return ",".join(f"[{host}]:{port}" for host, port in self.addresses())


@pytest.fixture(scope="module")
def nodes(system):
    with OnIpv6(system, count=2, overrides={"default.replication.factor": 2}) as nodes:
        yield nodes


def test_hosts_are_told_without_brackets(nodes):
    expected = set(nodes.addresses())
    ask = lambda api, version, **fields: messages.ask(nodes.nodes[1].address, api, version, **fields)
    both = lambda: len(ask("Metadata", 13, topics=[]).brokers) == 2
    wait_until(both, TIMEOUT, "both brokers")
    for brokers in (ask("Metadata", 13, topics=[]).brokers, ask("DescribeCluster", 2).brokers):
        assert {(broker.host, broker.port) for broker in brokers} == expected

    def coordinator():
        [found] = ask("FindCoordinator", 5, keyType=0, coordinatorKeys=["g"]).coordinators
        return found if found.errorCode == 0 else None

    found = wait_until(coordinator, TIMEOUT, "a coordinator")
    assert (found.host, found.port) in expected
    quorum = ask("DescribeQuorum", 2, topics=[
        {"topicName": "__cluster_metadata", "partitions": [{"partitionIndex": 0}]}])
    listeners = [listener for node in quorum.nodes for listener in node.listeners]
    assert {listener.host for listener in listeners} == {HOST}


def test_clients_and_replicas_reach_each_other(nodes, name):
    producer = kafka.KafkaProducer(bootstrap_servers=nodes.bootstrap.split(","), acks="all")
    assert producer.send(name, b"one").get(TIMEOUT).offset == 0
    producer.close()
    nodes.wait_in_sync(name)

    async def read():
        consumer = aiokafka.AIOKafkaConsumer(
            name, bootstrap_servers=nodes.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            return (await asyncio.wait_for(consumer.getone(), TIMEOUT)).value
        finally:
            await consumer.stop()

    assert asyncio.run(read()) == b"one"
