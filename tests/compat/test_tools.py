"""Ottla's own tools beside Kafka's, on the same cluster: the same lines, in the same columns.

Each pair gets the same arguments. What may differ by nature is taken out: order where Kafka has
none, times, and the APIs that only one side knows.
"""

import re
import subprocess

import confluent_kafka
import pytest
from clients.base import TIMEOUT, Record
from clients.confluent import Confluent
from clients.java import TOOLS, run
from harness import wait_until
from harness.ottla import OttlaSystem

CLASSES = {
    "topics": f"{TOOLS}.TopicCommand",
    "configs": "org.apache.kafka.tools.ConfigCommand",
    "console-consumer": f"{TOOLS}.consumer.ConsoleConsumer",
    "console-producer": f"{TOOLS}.ConsoleProducer",
    "consumer-groups": f"{TOOLS}.consumer.group.ConsumerGroupCommand",
    "get-offsets": f"{TOOLS}.GetOffsetShell",
    "delete-records": f"{TOOLS}.DeleteRecordsCommand",
    "broker-api-versions": f"{TOOLS}.BrokerApiVersionsCommand",
    "metadata-quorum": f"{TOOLS}.MetadataQuorumCommand",
}


def ours(tool, bootstrap, *args, data=b"", code=0):
    command = [str(OttlaSystem().binary), tool, "--bootstrap-server", bootstrap, *args]
    done = subprocess.run(command, input=data, capture_output=True, timeout=TIMEOUT)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout.decode()


def both(tool, bootstrap, *args):
    theirs = run(CLASSES[tool], "--bootstrap-server", bootstrap, *args)
    return ours(tool, bootstrap, *args), theirs


def lines(text):
    return sorted(line for line in text.splitlines() if line.strip())


@pytest.fixture
def topic(bootstrap, make_topic):
    topic = make_topic(partitions=1, retention_ms=3600000)
    Confluent().produce(bootstrap, topic, [Record(b"v%d" % i, b"k", timestamp=1_700_000_000_000 + i)
                                           for i in range(5)])
    return topic


def test_topics_are_described_alike(bootstrap, topic):
    mine, theirs = both("topics", bootstrap, "--describe", "--topic", topic)
    assert mine == theirs
    assert f"Topic: {topic}\tTopicId: " in mine


def test_topics_are_listed_alike(bootstrap, topic):
    mine, theirs = both("topics", bootstrap, "--list")
    assert topic in mine.split()
    assert mine == theirs


def test_topics_are_made_changed_and_deleted(cluster, bootstrap, name, admin):
    created = ours("topics", bootstrap, "--create", "--topic", name, "--partitions", "2",
                   "--replication-factor", "3")
    assert created == f"Created topic {name}.\n"
    cluster.wait_everywhere(name)
    ours("topics", bootstrap, "--create", "--topic", name, code=1)
    ours("topics", bootstrap, "--alter", "--topic", name, "--partitions", "4")
    grown = lambda: set(admin.describe(bootstrap, name)) == {0, 1, 2, 3}
    wait_until(grown, TIMEOUT, "four partitions")
    ours("topics", bootstrap, "--delete", "--topic", name)
    gone = lambda: name not in ours("topics", bootstrap, "--list").split()
    wait_until(gone, TIMEOUT, "the topic being gone")
    ours("topics", bootstrap, "--describe", "--topic", name, code=1)


@pytest.mark.parametrize("more", [[], ["--all"]], ids=["set", "all"])
def test_topic_configs_are_described_alike(bootstrap, system, topic, more):
    mine, theirs = both("configs", bootstrap, "--describe", "--topic", topic, *more)
    assert mine == theirs
    assert "  retention.ms=3600000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:" in mine


def test_broker_configs_are_described_alike(bootstrap):
    mine, theirs = both("configs", bootstrap, "--describe", "--all", "--broker", "1")
    assert lines(mine) == lines(theirs)


def test_configs_are_set_and_deleted(bootstrap, topic, admin):
    args = ["--alter", "--topic", topic, "--add-config", "max.message.bytes=5000"]
    mine, theirs = both("configs", bootstrap, *args)
    assert mine == theirs == f"Completed updating config for topic {topic}.\n"
    shown = lambda value: lambda: admin.config(bootstrap, topic, "max.message.bytes") == value
    wait_until(shown("5000"), TIMEOUT, "the config being shown")
    args = ["--alter", "--topic", topic, "--delete-config", "max.message.bytes"]
    assert ours("configs", bootstrap, *args) == mine
    wait_until(shown("1048588"), TIMEOUT, "the default being shown")
    ours("configs", bootstrap, *args, code=1)
    ours("configs", bootstrap, "--alter", "--topic", topic, "--add-config", "no.such=1", code=1)


def test_records_are_consumed_alike(bootstrap, topic):
    fields = [f"--formatter-property=print.{field}=true"
              for field in ["timestamp", "partition", "offset", "headers", "key", "value"]]
    args = ["--topic", topic, "--from-beginning", "--max-messages", "5", *fields]
    mine, theirs = both("console-consumer", bootstrap, *args)
    assert mine == theirs
    assert mine.startswith("CreateTime:1700000000000\tPartition:0\tOffset:0\tNO_HEADERS\tk\tv0\n")


def test_records_are_produced_alike(bootstrap, make_topic):
    topic = make_topic(partitions=1)
    args = ["--topic", topic, "--reader-property", "parse.key=true", "--reader-property",
            "parse.headers=true", "--reader-property", "null.marker=NULL"]
    data = b"a:1,b:2\tkey\tvalue\nNULL\tNULL\tNULL\n"
    ours("console-producer", bootstrap, *args, data=data)
    run(CLASSES["console-producer"], "--bootstrap-server", bootstrap, *args, data=data)
    records = Confluent().consume(bootstrap, topic, 4)
    mine, theirs = ([(r.key, r.value, r.headers) for r in part] for part in (records[:2], records[2:]))
    assert mine == theirs
    assert mine == [(b"key", b"value", [("a", b"1"), ("b", b"2")]), (None, None, [])]


@pytest.mark.parametrize("time", ["latest", "earliest", "max-timestamp", "earliest-local",
                                  "latest-tiered", "1700000000003", "1800000000000"])
def test_offsets_are_found_alike(bootstrap, topic, time):
    mine, theirs = both("get-offsets", bootstrap, "--topic", topic, "--time", time)
    assert mine == theirs


def test_records_are_deleted_alike(bootstrap, topic, tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text('{"version":1,"partitions":[{"topic":"%s","partition":0,"offset":2}]}' % topic)
    mine, theirs = both("delete-records", bootstrap, "--offset-json-file", str(plan))
    assert mine == theirs
    assert f"partition: {topic}-0\tlow_watermark: 2" in mine


@pytest.fixture
def group(bootstrap, topic, name):
    Confluent().consume_group(bootstrap, topic, 3, name)
    return name


@pytest.mark.parametrize("what", [[], ["--members"], ["--state"], ["--verbose"],
                                  ["--members", "--verbose"], ["--state", "--verbose"]],
                         ids=" ".join)
def test_groups_are_described_alike(bootstrap, group, what):
    mine, theirs = both("consumer-groups", bootstrap, "--describe", "--group", group, *what)
    assert mine == theirs
    assert mine.split()[0] == "GROUP"


def test_members_of_a_group_are_described_alike(bootstrap, topic, name):
    settings = {"bootstrap.servers": bootstrap, "group.id": name, "auto.offset.reset": "earliest"}
    consumer = confluent_kafka.Consumer(settings)
    try:
        consumer.subscribe([topic])
        assert consumer.poll(TIMEOUT) is not None
        for what in [[], ["--members"], ["--members", "--verbose"], ["--state", "--verbose"]]:
            args = ["--describe", "--group", name, *what]
            mine, theirs = both("consumer-groups", bootstrap, *args)
            assert mine == theirs, what
            assert name in mine
    finally:
        consumer.close()


@pytest.mark.parametrize("what", [[], ["--state"]], ids=" ".join)
def test_groups_are_listed_alike(bootstrap, group, what):
    mine, theirs = both("consumer-groups", bootstrap, "--list", *what)
    assert group in mine.split()
    assert lines(mine) == lines(theirs)


def test_api_versions_are_told_alike(bootstrap):
    mine, theirs = both("broker-api-versions", bootstrap)
    api = re.compile(r"\t(\w+)\((\d+)\): ([\d to]+) \[usable: \d+\]")
    shared = lambda text: {m[2]: (m[1], m[3]) for m in api.finditer(text)}
    mine_of, theirs_of = shared(mine), shared(theirs)
    assert {"0", "1", "3", "18", "75"} <= set(mine_of)
    for key in mine_of:
        assert mine_of[key] == theirs_of[key]
    brokers = re.compile(r"^(\S+ \(id: \d+ rack: \S+ isFenced: false\)) -> \($", re.M)
    assert sorted(brokers.findall(mine)) == sorted(brokers.findall(theirs))
    assert len(brokers.findall(mine)) == 3


def test_the_quorum_is_described_alike(bootstrap):
    still = lambda text: [line for line in text.splitlines()
                          if not re.match("HighWatermark|MaxFollowerLag", line)]
    mine, theirs = both("metadata-quorum", bootstrap, "describe", "--status")
    assert still(mine) == still(theirs)
    mine, theirs = both("metadata-quorum", bootstrap, "describe", "--replication")
    # Offsets and times move on.
    fixed = lambda text: [[row.split()[0], row.split()[1], row.split()[-1]]
                          for row in text.splitlines()]
    assert fixed(mine) == fixed(theirs)
