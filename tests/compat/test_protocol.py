"""What tools and clients ask of a cluster besides topics and records."""

import json
import os
import re
from pathlib import Path

import confluent_kafka
import kafka
import pytest
from clients.base import TIMEOUT, UNKNOWN_TOPIC_OR_PARTITION, Record, Refused
from clients.confluent import Confluent, ConfluentAdmin
from clients.java import TOOLS, run
from harness import messages, protocol

# What Apache Kafka 4.4 advertises: api -> [min, max]. OTTLA_WRITE_GOLDEN=1 with `--system kafka`
# writes it.
GOLDEN = Path(__file__).parent / "golden" / "api_versions.json"
# Where Ottla ends earlier, since the last version is for something that it does not have.
ENDS_EARLIER = {"10": 5}  # FindCoordinator 6 is for share groups


def test_every_broker_tells_its_api_versions(bootstrap):
    out = run(f"{TOOLS}.BrokerApiVersionsCommand", "--bootstrap-server", bootstrap)
    assert len(re.findall(r"\(id: \d+ rack: .* isFenced: false\) -> \(", out)) == 3
    assert "ERROR" not in out
    # The newest versions that this Kafka's own client speaks are not too new for it.
    usable = dict(re.findall(r"(\w+)\(\d+\): [\d to]+ \[usable: (\d+)\]", out))
    for api in ["Produce", "Fetch", "Metadata", "CreateTopics", "JoinGroup", "OffsetCommit"]:
        assert api in usable, f"{api} is not usable"
    # librdkafka reads 0 as "can produce with its oldest codec", though such requests are refused.
    assert re.search(r"Produce\(0\): 0 to ", out)


def advertised(address):
    answer = messages.ask(address, "ApiVersions", 0)
    assert answer.errorCode == 0
    return {str(api.apiKey): [api.minVersion, api.maxVersion] for api in answer.apiKeys}


def test_the_versions_of_each_api_are_kafkas(cluster, system):
    told = advertised(cluster.nodes[1].address)
    if system == "kafka" and os.environ.get("OTTLA_WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps(told, indent=1) + "\n")
    golden = json.loads(GOLDEN.read_text())
    if system == "kafka":
        assert told == golden
        return
    for api, (first, last) in told.items():
        assert [first, last] == [golden[api][0], ENDS_EARLIER.get(api, golden[api][1])], api


def test_the_quorum_describes_itself(cluster, bootstrap):
    command = f"{TOOLS}.MetadataQuorumCommand"
    status = run(command, "--bootstrap-server", bootstrap, "describe", "--status")
    leader = int(re.search(r"LeaderId:\s+(\d+)", status).group(1))
    assert leader in (1, 2, 3)
    assert len(re.search(r"CurrentVoters:\s+(.*)", status).group(1).split('"id"')) == 4
    rows = run(command, "--bootstrap-server", bootstrap, "describe", "--replication")
    statuses = sorted(line.split()[-1] for line in rows.splitlines()[1:])
    assert statuses == ["Follower", "Follower", "Leader"]


def test_the_cluster_names_itself_and_its_brokers(bootstrap):
    described = ConfluentAdmin().client(bootstrap).describe_cluster().result(TIMEOUT)
    assert {node.id for node in described.nodes} == {1, 2, 3}
    assert described.cluster_id
    assert described.controller.id in (1, 2, 3)


def test_one_broker_is_enough_to_find_the_others(cluster):
    host, port = cluster.nodes[2].address
    consumer = kafka.KafkaConsumer(bootstrap_servers=[f"{host}:{port}"])
    try:
        consumer.topics()
        assert {broker.node_id for broker in consumer._manager.cluster.brokers()} == {1, 2, 3} \
            if hasattr(consumer, "_manager") else True
    finally:
        consumer.close()
    client = confluent_kafka.Consumer({"bootstrap.servers": f"{host}:{port}", "group.id": "x"})
    assert set(client.list_topics(timeout=TIMEOUT).brokers) == {1, 2, 3}
    client.close()


def test_a_partition_that_does_not_exist_is_an_error(bootstrap, make_topic):
    topic = make_topic(partitions=1)
    with pytest.raises(Refused):
        Confluent().produce(bootstrap, topic, [Record(b"v")], partition=7)


def test_a_consumer_that_must_not_create_topics_is_told_of_unknown_ones(bootstrap, name, admin):
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": bootstrap, "group.id": name, "allow.auto.create.topics": False,
    })
    try:
        consumer.subscribe([name])
        message = consumer.poll(TIMEOUT)
        assert message is not None and message.error()
        assert message.error().code() == UNKNOWN_TOPIC_OR_PARTITION
    finally:
        consumer.close()
    assert name not in admin.names(bootstrap)


def test_topics_that_a_client_asks_for_are_made_together(cluster, name):
    names = [f"{name}-{index}" for index in range(25)]
    address = cluster.nodes[1].address
    answer = protocol.metadata(address, names + names, timeout=TIMEOUT, create=True)
    assert set(answer.topics) == set(names)
    for topic in names:
        cluster.wait_in_sync(topic)
