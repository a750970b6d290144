"""`ottla dump-log` prints files line for line as Kafka's own tool does.

The files are those of a node of either system (`--system kafka`), of topics that hold what there
is: each codec, headers, nulls, both kinds of timestamps, idempotent and transactional producers
(where the system has transactions), committed offsets and a group's metadata. With
OTTLA_WRITE_GOLDEN=1 files and output are kept for the program's own tests.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from clients.confluent import ConfluentAdmin  # noqa: E402
from harness import Cluster, kafka, ottla  # noqa: E402

KEPT = Path(__file__).resolve().parents[2] / "crates" / "ottla" / "tests" / "dump_log"
# What Kafka's tool prints differently from run to run, or not at all.
TOOL = "org.apache.kafka.tools.DumpLogSegments"
NOW = 1_700_000_000_000


def fill(bootstrap):
    admin = ConfluentAdmin()
    index = {"index.interval.bytes": "300"}
    for name, configs in {
        "plain": index,
        "timed": {"message.timestamp.type": "LogAppendTime", **index},
        "keyed": {"cleanup.policy": "compact", **index},
        "transactional": index,
    }.items():
        admin.create(bootstrap, name, 1, 1, configs)
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec,
                             "enable.idempotence": codec in ("gzip", "none"), "linger.ms": 100})
        for i in range(12):
            headers = [("h1", b"x"), ("h2", None)] if i % 3 == 0 else None
            producer.produce("plain", key=f"k{i}" if i % 2 else None, timestamp=NOW + i,
                             value=f"{codec} {i} é" * 3 if i % 4 else None, headers=headers)
            producer.produce("timed", key="k", value=f"{codec} {i}")
            producer.produce("keyed", key=f"k{i % 3}", value=f"{codec} {i}")
            if i % 4 == 3:
                assert producer.flush(30) == 0
    transactions(bootstrap)
    for group in ("readers", "others"):
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group,
                             "auto.offset.reset": "earliest", "client.id": "dump"})
        consumer.subscribe(["plain"])
        while consumer.poll(10) is None:
            pass
        consumer.commit(offsets=[TopicPartition("plain", 0, 7, metadata='some "words"\t')],
                        asynchronous=False)
        consumer.close()


def transactions(bootstrap):
    try:
        producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "tx-1"})
        producer.init_transactions(20)
        for number, ends in enumerate(("commit", "abort", "commit", "abort")):
            producer.begin_transaction()
            producer.produce("transactional", key="k", value=f"in {number}", timestamp=NOW)
            producer.produce("keyed", key="k", value=f"in {number}", timestamp=NOW)
            producer.flush()
            (producer.commit_transaction if ends == "commit" else producer.abort_transaction)()
    except KafkaException:
        pass


@pytest.fixture(scope="module")
def directory(system, tmp_path_factory):
    overrides = {
        "offsets.topic.num.partitions": 1, "transaction.state.log.num.partitions": 1,
        "offsets.topic.replication.factor": 1, "transaction.state.log.replication.factor": 1,
        "group.initial.rebalance.delay.ms": 0,
    }
    with Cluster(system, count=1, overrides=overrides) as cluster:
        fill(cluster.bootstrap)
        assert cluster.terminate(1) in (0, 143)
        kept = tmp_path_factory.mktemp("files") / "data"
        shutil.copytree(cluster.data_directory(1), kept)
    return kept


def commands(directory):
    """Arguments of the tool, without the file, for every file of a partition."""
    found = []
    for file in sorted(directory.glob("*-0/*")):
        topic = file.parent.name[:-2]
        if topic == "__cluster_metadata" or file.name.startswith("."):
            continue
        if file.suffix == ".log":
            found += [([], file), (["--deep-iteration"], file), (["--print-data-log"], file),
                      (["--print-data-log", "--skip-record-metadata"], file),
                      (["--max-bytes", "400"], file)]
            if topic == "__consumer_offsets":
                found.append((["--offsets-decoder"], file))
            if topic == "__transaction_state":
                found.append((["--transaction-log-decoder"], file))
            if topic == "timed":
                found.append((["--value-decoder-class", "org.apache.kafka.tools.api.StringDecoder",
                               "--deep-iteration"], file))
        elif file.suffix in (".index", ".timeindex"):
            found += [([], file), (["--verify-index-only"], file)]
            if file.stat().st_size:
                found.append((["--index-sanity-check"], file))
        elif file.suffix in (".snapshot", ".txnindex"):
            found.append(([], file))
    return found


def run(command, directory):
    done = subprocess.run(command, cwd=directory, capture_output=True, timeout=60,
                          env={**os.environ, "LC_ALL": "C.UTF-8"})
    errors = [line for line in done.stderr.decode().splitlines()
              if not line.startswith(("WARNING", "log4j", "SLF4J", "ERROR StatusLogger", "main "))]
    return done.stdout.decode().replace(str(directory), "DIR"), errors


def sound(errors):
    """Kafka 4.4's tool takes the first offset of any segment but a log's first for a gap."""
    left = []
    for line in errors:
        if line.startswith("  -1 is followed by"):
            if left[-1].startswith("Non-consecutive"):
                left.pop()
            continue
        left.append(line)
    return left


def test_every_file_is_printed_as_kafkas_tool_prints_it(directory, system):
    keeps = os.environ.get("OTTLA_WRITE_GOLDEN") and system == "kafka"
    if keeps:
        shutil.rmtree(KEPT, ignore_errors=True)
    compared = 0
    for flags, file in commands(directory):
        name = str(file.relative_to(directory))
        arguments = [*flags, "--files", name]
        expected, errors = run([*kafka.tool(TOOL), *arguments], directory)
        assert not any("Exception" in line for line in errors), (arguments, errors)
        got, told = run([str(ottla.OttlaSystem().binary), "dump-log", *arguments], directory)
        assert got == expected, arguments
        assert told == sound(errors), arguments
        compared += len(expected.splitlines())
        if keeps:
            kept = KEPT / name
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, kept)
            with open(KEPT / "expected.txt", "a") as out:
                out.write(f"$ {' '.join(arguments)}\n{expected}")
    assert compared > 200
