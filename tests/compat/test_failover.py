"""A leader killed with -9, or stopped in order, in mid-stream: nothing acknowledged is lost, doubled
or reordered, and no client sees an error."""

import threading

import clients
import pytest
from clients.base import TIMEOUT, Record
from clients.confluent import Confluent
from harness import wait_until

# So many records before the kill, and again after it.
PART = 300


def send_part(stream, cluster, topic, so_far):
    """Waits until PART more records are written than `so_far`; returns the new count."""
    target = so_far + PART
    if stream.acknowledged() is None:
        # Twice as many, as some of them stay in kcat's input buffer.
        stream.allow(2 * PART)
        wait_until(lambda: cluster.end_offset(topic) >= target, TIMEOUT, "records being written")
        return cluster.end_offset(topic)
    wait_until(lambda: stream.acknowledged() >= target, TIMEOUT, "records being acknowledged")
    return stream.acknowledged()


def kill(cluster, id):
    cluster.kill(id)


def stop(cluster, id):
    assert cluster.terminate(id) in (0, 143), "an orderly end"


@pytest.mark.parametrize("end", [kill, stop], ids=["kill", "stop"])
@pytest.mark.parametrize("client", clients.ALL, ids=repr)
def test_no_acknowledged_record_is_lost_when_the_leader_ends(
    client, end, cluster, bootstrap, make_topic
):
    topic = make_topic(partitions=1)
    stream = client.stream(bootstrap, topic)
    try:
        before = send_part(stream, cluster, topic, 0)
        leader = cluster.leader(topic)
        end(cluster, leader)
        try:
            assert cluster.leader(topic, other_than=leader) != leader
            send_part(stream, cluster, topic, before)
            acknowledged = stream.finish()
        finally:
            cluster.start_node(leader)
            cluster.wait_in_sync(topic)
    finally:
        stream.abort()
    consumed = Confluent().consume(bootstrap, topic, cluster.end_offset(topic))
    numbers = [int(record.value.split()[0]) for record in consumed]
    assert numbers == sorted(set(numbers)), "in order and none doubled"
    assert set(acknowledged) <= set(numbers), "none lost"
    assert len(acknowledged) >= 2 * PART


def test_every_client_reads_on_when_the_leader_is_killed(cluster, bootstrap, make_topic):
    """All five read while another writes; the leader dies in the middle of it."""
    topic = make_topic(partitions=1)
    count = 4 * PART
    read = {}

    def consume(client):
        try:
            read[client.name] = client.consume(bootstrap, topic, count)
        except Exception as error:
            read[client.name] = error

    stream = Confluent().stream(bootstrap, topic)
    try:
        before = send_part(stream, cluster, topic, 0)
        readers = [threading.Thread(target=consume, args=[c], daemon=True) for c in clients.ALL]
        for reader in readers:
            reader.start()
        leader = cluster.leader(topic)
        cluster.kill(leader)
        try:
            while before < count:
                before = send_part(stream, cluster, topic, before)
            stream.finish()
            for reader in readers:
                reader.join(2 * TIMEOUT)
        finally:
            cluster.start_node(leader)
            cluster.wait_in_sync(topic)
    finally:
        stream.abort()
    for client in clients.ALL:
        records = read[client.name]
        assert not isinstance(records, Exception), (client, records)
        assert [(r.offset, r.value) for r in records[:count]] == [
            (i, b"%d" % i) for i in range(count)
        ], client


def test_a_group_member_lives_through_its_coordinators_death(cluster, bootstrap, make_topic, name):
    topic = make_topic(partitions=1)
    values = [b"%d" % i for i in range(20)]
    Confluent().produce(bootstrap, topic, [Record(v) for v in values])
    first = Confluent().consume_group(bootstrap, topic, 10, name)
    coordinator = cluster.coordinator(name)
    cluster.kill(coordinator)
    try:
        rest = Confluent().consume_group(bootstrap, topic, 10, name)
    finally:
        cluster.start_node(coordinator)
        cluster.wait_in_sync(topic)
    assert [r.value for r in first + rest] == values
