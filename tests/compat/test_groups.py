"""Consumer groups: members share partitions, offsets are committed and taken up again."""

import threading

import clients
import confluent_kafka
import kafka
import pytest
from clients.base import TIMEOUT, Record
from clients.confluent import Confluent, ConfluentAdmin
from clients.java import TOOLS, run
from clients.members import MEMBERS
from harness import wait_until

ALL = pytest.mark.parametrize("client", clients.ALL, ids=repr)


@ALL
def test_a_group_goes_on_where_it_left_off(client, bootstrap, make_topic, name):
    topic = make_topic()
    values = {b"%d" % i for i in range(30)}
    Confluent().produce(bootstrap, topic, [Record(v, v) for v in values])
    first = client.consume_group(bootstrap, topic, 10, name)
    rest = client.consume_group(bootstrap, topic, 20, name)
    assert len(first) == 10 and len(rest) == 20
    assert {r.value for r in first + rest} == values, "each record exactly once"


def test_offsets_committed_by_one_client_serve_the_next(bootstrap, make_topic, name):
    topic = make_topic()
    values = {b"%d" % i for i in range(10 * len(clients.ALL))}
    Confluent().produce(bootstrap, topic, [Record(v, v) for v in values])
    seen = []
    for client in clients.ALL:
        seen += [r.value for r in client.consume_group(bootstrap, topic, 10, name)]
    assert len(seen) == len(values) and set(seen) == values


def test_two_libraries_share_the_partitions_of_one_group(bootstrap, make_topic, name):
    """librdkafka and kafka-python in one group with the range assignor; one leaves."""
    topic = make_topic(partitions=4)
    settings = {"bootstrap.servers": bootstrap, "group.id": name,
                "partition.assignment.strategy": "range"}
    one = confluent_kafka.Consumer(settings)
    one.subscribe([topic])
    other = kafka.KafkaConsumer(
        topic, bootstrap_servers=bootstrap.split(","), group_id=name,
        partition_assignment_strategy=[
            kafka.coordinator.assignors.range.RangePartitionAssignor
        ],
    )
    stop = threading.Event()
    owned = {}

    def poll_other():
        while not stop.is_set():
            other.poll(timeout_ms=100)
            owned["other"] = {p.partition for p in other.assignment()}

    poller = threading.Thread(target=poll_other, daemon=True)
    poller.start()

    def shared():
        one.poll(0.1)
        mine = {p.partition for p in one.assignment()}
        theirs = owned.get("other", set())
        return len(mine) == len(theirs) == 2 and mine | theirs == {0, 1, 2, 3}

    def all_mine():
        one.poll(0.1)
        return {p.partition for p in one.assignment()} == {0, 1, 2, 3}

    try:
        wait_until(shared, TIMEOUT, "two partitions each")
        stop.set()
        poller.join(TIMEOUT)
        other.close()
        wait_until(all_mine, TIMEOUT, "the one that stays owning all")
    finally:
        stop.set()
        one.close()


def shares(bootstrap, group):
    """How many partitions each member of a stable group owns, in order; None if it rebalances."""
    futures = ConfluentAdmin().client(bootstrap).describe_consumer_groups([group])
    described = futures[group].result(TIMEOUT)
    if described.state != confluent_kafka.ConsumerGroupState.STABLE:
        return None
    return sorted(len(m.assignment.topic_partitions) for m in described.members)


@pytest.mark.parametrize("kind", MEMBERS)
def test_two_members_share_and_the_one_that_stays_takes_over(kind, bootstrap, make_topic, name):
    topic = make_topic(partitions=4)
    owned = lambda expected: lambda: shares(bootstrap, name) == expected
    one = MEMBERS[kind](bootstrap, topic, name)
    members = [one]
    try:
        wait_until(owned([4]), TIMEOUT, "the first owning all")
        other = MEMBERS[kind](bootstrap, topic, name)
        members.append(other)
        wait_until(owned([2, 2]), TIMEOUT, "two partitions each")
        values = {b"%d" % i for i in range(40)}
        Confluent().produce(bootstrap, topic, [Record(v, v) for v in values])
        wait_until(lambda: len(one.values) + len(other.values) >= 40, TIMEOUT, "all records")
        assert set(one.values) | set(other.values) == values
        assert one.values and other.values
        one.leave()
        wait_until(owned([4]), TIMEOUT, "the one that stays owning all")
    finally:
        for member in members:
            member.leave()
    assert len(one.values) + len(other.values) == 40, "no record twice"


def test_groups_are_listed_and_described_by_administrative_clients(bootstrap, make_topic, name):
    topic = make_topic(partitions=1)
    Confluent().produce(bootstrap, topic, [Record(b"v")])
    Confluent().consume_group(bootstrap, topic, 1, name)
    client = ConfluentAdmin().client(bootstrap)
    listed = client.list_consumer_groups().result(TIMEOUT)
    assert not listed.errors
    assert name in {group.group_id for group in listed.valid}
    admin = kafka.KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    try:
        assert name in str(admin.list_groups())
        described = admin.describe_groups([name])
        assert "Empty" in str(described)
    finally:
        admin.close()
    client.delete_consumer_groups([name])[name].result(TIMEOUT)
    listed = client.list_consumer_groups().result(TIMEOUT)
    assert name not in {group.group_id for group in listed.valid}
    with pytest.raises(confluent_kafka.KafkaException) as gone:
        client.delete_consumer_groups([name])[name].result(TIMEOUT)
    assert gone.value.args[0].code() == 69  # GROUP_ID_NOT_FOUND


def test_the_group_tool_shows_offsets_and_lag(bootstrap, make_topic, name):
    topic = make_topic(partitions=1)
    Confluent().produce(bootstrap, topic, [Record(b"%d" % i) for i in range(10)])
    Confluent().consume_group(bootstrap, topic, 4, name)
    command = f"{TOOLS}.consumer.group.ConsumerGroupCommand"
    assert name in run(command, "--bootstrap-server", bootstrap, "--list").split()
    described = run(command, "--bootstrap-server", bootstrap, "--describe", "--group", name)
    rows = [line.split() for line in described.splitlines() if topic in line]
    # GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG ...
    assert [row[:6] for row in rows] == [[name, topic, "0", "4", "10", "6"]]
