"""Followers that keep up are sent what was appended from the leader's memory, and nothing of it stays
there once they all have it."""

import urllib.request

import pytest
from confluent_kafka import Producer
from harness import wait_until
from harness.logs import compare_replicas

RECORDS = 3000


def metrics(cluster, id):
    port = cluster.nodes[id].ports[3]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
        lines = [line.split() for line in page.read().decode().splitlines() if line[0] != "#"]
    return {words[0]: float(words[1]) for words in lines if len(words) == 2}


def produce(cluster, topic):
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all", "linger.ms": 5})
    failed = []
    for number in range(RECORDS):
        producer.produce(topic, f"{number:08d}".encode() * 100,
                         on_delivery=lambda e, _: failed.append(e) if e else None)
        producer.poll(0)
    assert producer.flush(60) == 0 and not failed


def test_followers_that_keep_up_are_sent_what_is_in_memory(cluster, system, make_topic):
    if system != "ottla":
        pytest.skip("metrics of Ottla")
    name = make_topic(partitions=1)
    leader = cluster.leader(name)
    before = metrics(cluster, leader)
    produce(cluster, name)
    after = metrics(cluster, leader)
    told = {what: after[f"ottla_tail_cache_{what}_total"] - before[f"ottla_tail_cache_{what}_total"]
            for what in ("hits", "misses", "hit_bytes")}
    # All of it fits: each of two followers has it from there, however late it comes.
    assert told["hits"] > 0 and told["hit_bytes"] >= 2 * RECORDS * 800, told
    end = cluster.end_offset(name)
    assert end == RECORDS
    directories = [cluster.data_directory(id) / f"{name}-0" for id in cluster.nodes]
    wait_until(lambda: not compare_replicas(directories, end).differences, 10, "equal replicas")
    wait_until(lambda: metrics(cluster, leader)["ottla_tail_cache_bytes"] == 0, 10,
               "memory that is given back")
