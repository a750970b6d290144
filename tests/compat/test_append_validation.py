"""What a broker says to batches that are wrong, and what it makes of those that are right.

Each case is bytes made by hand, sent to a topic of its own. `golden/append_validation.json` holds
what Apache Kafka 4.4 answered to the same bytes (`--system kafka` checks that, and with
OTTLA_WRITE_GOLDEN=1 writes it). Timestamps are told relative to the test's start, so that they can
be compared.
"""

import json
import os
import re
import struct
import time
import uuid
from pathlib import Path

import pytest
from harness import batch as b
from harness import protocol, wait_until

GOLDEN = Path(__file__).parent / "golden" / "append_validation.json"
NOW = int(time.time() * 1000)
HOUR = 3_600_000
THREE = [(NOW, b"k0", b"v0"), (NOW + 1, b"k1", b"v1"), (NOW + 2, b"k2", b"v2")]
GOOD = b.Batch(THREE)
PLAIN = b"".join(b.record(i, i, r[1], r[2]) for i, r in enumerate(THREE))


def body(*records):
    return b"".join(records)


# name: (topic configs, Produce version, bytes)
CASES = {
    "good": ({}, 8, GOOD.encode()),
    "good gzip": ({}, 8, GOOD.with_(codec=1).encode()),
    "good snappy": ({}, 8, GOOD.with_(codec=2).encode()),
    "good zstd": ({}, 8, GOOD.with_(codec=4).encode()),
    "zstd before version 7": ({}, 6, GOOD.with_(codec=4).encode()),
    "no bytes": ({}, 8, b""),
    "two batches": ({}, 8, GOOD.encode() + GOOD.encode()),
    "a torn second batch": ({}, 8, GOOD.encode() + GOOD.encode()[:30]),
    "a few bytes more": ({}, 8, GOOD.encode() + b"\0" * 5),
    "a torn batch": ({}, 8, GOOD.encode()[:-3]),
    "only a piece of a header": ({}, 8, GOOD.encode()[:40]),
    "length below a header": ({}, 8, GOOD.with_(length_error=-60).encode()),
    "magic 0": ({}, 8, b.legacy_message(0, 0, b"k", b"v")),
    "magic 1": ({}, 8, b.legacy_message(1, NOW, b"k", b"v")),
    "magic 1 by version 3": ({}, 3, b.legacy_message(1, NOW, b"k", b"v")),
    "magic 3": ({}, 8, GOOD.with_(magic=3).encode()),
    "crc": ({}, 8, GOOD.with_(crc=1).encode()),
    "count above": ({}, 8, GOOD.with_(count=4, last_offset_delta=3).encode()),
    "count below": ({}, 8, GOOD.with_(count=2, last_offset_delta=1).encode()),
    "count and delta differ": ({}, 8, GOOD.with_(last_offset_delta=5).encode()),
    "count zero": ({}, 8, GOOD.with_(count=0).encode()),
    "count negative": ({}, 8, GOOD.with_(count=-1).encode()),
    "delta negative": ({}, 8, GOOD.with_(last_offset_delta=-2).encode()),
    "control": ({}, 8, GOOD.with_(attributes=0x20).encode()),
    "delete horizon bit": ({}, 8, GOOD.with_(attributes=0x40).encode()),
    "unknown attribute bits": ({}, 8, GOOD.with_(attributes=0x100).encode()),
    "codec 5": ({}, 8, GOOD.with_(attributes=5).encode()),
    "codec 7": ({}, 8, GOOD.with_(attributes=7).encode()),
    "producer without sequence": (
        {}, 8, GOOD.with_(producer_id=7, producer_epoch=0).encode()),
    "producer without epoch": ({}, 8, GOOD.with_(producer_id=7, base_sequence=0).encode()),
    "base offset of its own": ({}, 8, GOOD.with_(base_offset=1000).encode()),
    "append time from a client": ({}, 8, GOOD.with_(attributes=8).encode()),
    "append time from a client where the topic has it": (
        {"message.timestamp.type": "LogAppendTime"}, 8, GOOD.with_(attributes=8).encode()),
    "append time": ({"message.timestamp.type": "LogAppendTime"}, 8, GOOD.encode()),
    "append time forgives": (
        {"message.timestamp.type": "LogAppendTime"}, 8,
        b.Batch([(NOW + 9 * HOUR, None, b"v")]).encode()),
    "append time gzip": (
        {"message.timestamp.type": "LogAppendTime"}, 8, GOOD.with_(codec=1).encode()),
    "no key": ({"cleanup.policy": "compact"}, 8,
               b.Batch([(NOW, b"k", b"v"), (NOW, None, b"v"), (NOW, None, None)]).encode()),
    "no key gzip": ({"cleanup.policy": "compact"}, 8,
                    b.Batch([(NOW, None, b"v"), (NOW, b"k", b"v")], codec=1).encode()),
    "no key in compact,delete": (
        {"cleanup.policy": "compact,delete"}, 8, b.Batch([(NOW, None, b"v")]).encode()),
    "five without keys": ({"cleanup.policy": "compact"}, 8,
                          b.Batch([(NOW, None, b"v")] * 5).encode()),
    "keys for a compacted topic": ({"cleanup.policy": "compact"}, 8, GOOD.encode()),
    "future": ({}, 8, b.Batch([(NOW, b"k", b"v"), (NOW + 2 * HOUR, b"k", b"v")]).encode()),
    "future gzip": (
        {}, 8, b.Batch([(NOW, b"k", b"v"), (NOW + 2 * HOUR, b"k", b"v")], codec=1).encode()),
    "future, header says now": (
        {}, 8, b.Batch([(NOW + 2 * HOUR, b"k", b"v")], base_timestamp=NOW,
                       max_timestamp=NOW).encode()),
    "past": ({"message.timestamp.before.max.ms": HOUR}, 8,
             b.Batch([(NOW, b"k", b"v"), (NOW - 2 * HOUR, b"k", b"v")]).encode()),
    "past gzip": ({"message.timestamp.before.max.ms": HOUR}, 8,
                  b.Batch([(NOW, b"k", b"v"), (NOW - 2 * HOUR, b"k", b"v")], codec=1).encode()),
    "both wrong": ({"cleanup.policy": "compact"}, 8,
                   b.Batch([(NOW + 2 * HOUR, None, b"v"), (NOW + 2 * HOUR, b"k", b"v")]).encode()),
    "no timestamp": ({"message.timestamp.before.max.ms": HOUR}, 8,
                     b.Batch([(-1, b"k", b"v")]).encode()),
    "header's max timestamp below": ({}, 8, GOOD.with_(max_timestamp=NOW - 9).encode()),
    "header's max timestamp above": ({}, 8, GOOD.with_(max_timestamp=NOW + 2 * HOUR).encode()),
    "too large": ({"max.message.bytes": 70}, 8, GOOD.encode()),
    "too large gzip": ({"max.message.bytes": 70}, 8, GOOD.with_(codec=1).encode()),
    "larger than a segment": ({"segment.bytes": 1 << 20, "max.message.bytes": 3 << 20}, 8,
                              b.Batch([(NOW, b"k", b"v" * (1100 << 10))]).encode()),
    "bad gzip": ({}, 8, GOOD.with_(attributes=1, payload=b"not gzip at all").encode()),
    "bad gzip where records are read": (
        {"cleanup.policy": "compact"}, 8,
        GOOD.with_(attributes=1, payload=b"not gzip at all").encode()),
    "bad zstd where records are read": (
        {"cleanup.policy": "compact"}, 8,
        GOOD.with_(attributes=4, payload=b"not zstd at all").encode()),
    "bad snappy where records are read": (
        {"cleanup.policy": "compact"}, 8,
        GOOD.with_(attributes=2, payload=b"not snappy at all").encode()),
    "bad lz4 where records are read": (
        {"cleanup.policy": "compact"}, 8,
        GOOD.with_(attributes=3, payload=b"not lz4 at all").encode()),
    "record cut": ({}, 8, GOOD.with_(payload=PLAIN[:-2]).encode()),
    "record and more": ({}, 8, GOOD.with_(payload=PLAIN + b"xx").encode()),
    "record length lies": ({}, 8, GOOD.with_(payload=b"\x04" + PLAIN[1:]).encode()),
    "record length negative": ({}, 8, GOOD.with_(payload=b"\x03" + PLAIN[1:]).encode()),
    "record attributes": ({}, 8, b.Batch([(NOW, b"k", b"v", (), 1)]).encode()),
    "record's key length lies": (
        {}, 8, b.Batch(THREE[:1], payload=b.varint(9) + b"\0\0\0" + b.varint(50) + b"aaaaa")
        .encode()),
    "headers": ({}, 8, b.Batch([(NOW, b"k", b"v", [(b"h", b"x"), (b"h", None)])]).encode()),
    "header without a name": ({}, 8, b.Batch([(NOW, b"k", b"v", [(None, b"x")])]).encode()),
    "offset deltas of their own": (
        {}, 8, GOOD.with_(payload=body(*[b.record(2 - i, i, b"k", b"v") for i in range(3)]))
        .encode()),
    "offset deltas of their own gzip": (
        {}, 8, GOOD.with_(attributes=1, payload=b.gzip.compress(
            body(*[b.record(i * 2, i, b"k", b"v") for i in range(3)]))).encode()),
    **{
        f"{name} to {target}": ({"compression.type": target}, 8, GOOD.with_(codec=codec).encode())
        for target in ("uncompressed", "gzip", "snappy", "lz4", "zstd")
        for codec, name in ((0, "none"), (1, "gzip"), (4, "zstd"))
    },
    "no key to gzip": ({"compression.type": "gzip", "cleanup.policy": "compact"}, 8,
                       b.Batch([(NOW, None, b"v")]).encode()),
    "past to gzip": ({"compression.type": "gzip", "message.timestamp.before.max.ms": HOUR}, 8,
                     b.Batch([(NOW - 2 * HOUR, b"k", b"v")]).encode()),
    "append time to gzip": (
        {"compression.type": "gzip", "message.timestamp.type": "LogAppendTime"}, 8, GOOD.encode()),
    "too large once unpacked": (
        {"compression.type": "uncompressed", "max.message.bytes": 1000}, 8,
        b.Batch([(NOW, b"k", b"v" * 5000)], codec=1).encode()),
    "small enough once packed": (
        {"compression.type": "gzip", "max.message.bytes": 1000}, 8,
        b.Batch([(NOW, b"k", b"v" * 5000)]).encode()),
    "bad gzip to zstd": (
        {"compression.type": "zstd"}, 8,
        GOOD.with_(attributes=1, payload=b"not gzip at all").encode()),
}


def stored(address, topic):
    """The header fields of the first batch as a consumer gets it, and its records unpacked."""
    error, data = protocol.fetch(address, topic, 0, 0)
    assert error == 0
    if not data:
        return None
    base, length, _, magic, crc = struct.unpack(">qiibI", data[:21])
    names = ["attributes", "last_offset_delta", "base_timestamp", "max_timestamp", "producer_id",
             "producer_epoch", "base_sequence", "count"]
    fields = dict(zip(names, struct.unpack(">hiqqqhii", data[21:61])))
    assert crc == b.crc32c(data[21 : 12 + length]), "what is stored has a true CRC"
    for name in ("base_timestamp", "max_timestamp"):
        fields[name] = relative(fields[name])
    from kafka.record import MemoryRecords

    records = []
    try:
        for one in MemoryRecords(data).next_batch():
            records.append([one.offset, relative(one.timestamp), text(one.key), text(one.value)])
    except Exception as error:  # what a consumer cannot read
        records = type(error).__name__
    return {"base_offset": base, "magic": magic, **fields, "records": records}


def text(value):
    return None if value is None else (value[:20].decode() + f" {len(value)}")


def relative(timestamp):
    """Timestamps near the test's start, relative to it; those made by the broker, as a word."""
    if timestamp == -1:
        return -1
    difference = timestamp - NOW
    for center in (0, 2 * HOUR, -2 * HOUR, 9 * HOUR):
        if abs(difference - center) < 20:
            return difference
    return "append time" if 0 < difference < HOUR else difference


def told(message):
    """A message without what differs from run to run."""
    if message is None:
        return None
    message = re.sub(r"t-[0-9a-f]{12}", "topic", message)
    # Now, and now less the longest time.
    return re.sub(r"\b1[0-9]{12}\b|-92[0-9]{17}\b", "time", message)


def outcome(address, topic, version, data):
    try:
        answer = b.produce(address, topic, data, version)
    except ConnectionError:
        return {"closed": True}
    found = {
        "error": answer.error,
        "base_offset": answer.base_offset,
        "log_append_time": "append time" if answer.log_append_time > 0 else answer.log_append_time,
        "log_start_offset": answer.log_start_offset,
        "record_errors": [[index, told(message)] for index, message in answer.record_errors],
        "message": told(answer.message),
    }
    if answer.error == 0:
        found["stored"] = stored(address, topic)
    return found


def comparable(found):
    """Without the messages, which are each broker's own (and more often there in ours)."""
    found = json.loads(json.dumps(found))
    if "error" in found:
        found["record_errors"] = [index for index, _ in found["record_errors"]]
        del found["message"]
    return found


# Where Ottla differs on purpose: the error it answers, and why.
UNSUPPORTED_FORMAT, INVALID_RECORD, UNSUPPORTED_CODEC = 43, 87, 76
OLD_FORMAT = "says what is wrong: the format, which no longer exists"
MEANINGLESS = "keeps out what would be stored and read as something that it is not"
NAMED = "names the fault, where Kafka has no answer but UNKNOWN_SERVER_ERROR"
DIFFERENT = {
    "magic 0": (UNSUPPORTED_FORMAT, OLD_FORMAT),
    "magic 1": (UNSUPPORTED_FORMAT, OLD_FORMAT),
    "magic 1 by version 3": (UNSUPPORTED_FORMAT, OLD_FORMAT),
    "delete horizon bit": (INVALID_RECORD, MEANINGLESS),
    "producer without epoch": (INVALID_RECORD, MEANINGLESS),
    "offset deltas of their own": (INVALID_RECORD, MEANINGLESS),
    "offset deltas of their own gzip": (INVALID_RECORD, NAMED),
    "codec 5": (UNSUPPORTED_CODEC, NAMED),
    "codec 7": (UNSUPPORTED_CODEC, NAMED),
    "bad gzip where records are read": (INVALID_RECORD, NAMED),
    "bad zstd where records are read": (INVALID_RECORD, NAMED),
    "bad snappy where records are read": (INVALID_RECORD, NAMED),
    "bad lz4 where records are read": (INVALID_RECORD, NAMED),
    "bad gzip": (INVALID_RECORD, NAMED),
    "bad gzip to zstd": (INVALID_RECORD, NAMED),
}


@pytest.fixture(scope="module")
def answers(cluster, admin):
    topics = {}
    for name, (configs, _, _) in CASES.items():
        topics[name] = f"t-{uuid.uuid4().hex[:12]}"
        configs = {key: str(value) for key, value in configs.items()}
        admin.create(cluster.bootstrap, topics[name], 1, 1, configs)
    found = {}
    for name, (_, version, data) in CASES.items():
        topic = topics[name]
        leader = wait_until(
            lambda: next((p.leader for p in cluster.metadata([topic]).topics[topic].values()
                          if p.leader > 0), None), 30, f"{topic} has no leader")
        address = cluster.nodes[leader].address
        wait_until(lambda: stored_or_none(address, topic), 10, "the leader does not serve yet")
        found[name] = outcome(address, topic, version, data)
    return found


def stored_or_none(address, topic):
    try:
        stored(address, topic)
        return True
    except Exception:
        return None


def test_kafkas_answers_are_written_down(answers, system):
    if not os.environ.get("OTTLA_WRITE_GOLDEN"):
        pytest.skip("writes nothing unless OTTLA_WRITE_GOLDEN is set")
    out = GOLDEN if system == "kafka" else Path("/tmp/append_validation_ottla.json")
    out.write_text(json.dumps(answers, indent=1, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("case", CASES)
def test_a_batch_is_answered_as_kafka_answers_it(answers, system, case):
    expected = json.loads(GOLDEN.read_text())[case]
    if system == "ottla" and case in DIFFERENT:
        error, _ = DIFFERENT[case]
        assert error != expected["error"], "no difference any more"
        assert answers[case]["error"] == error
        return
    got, expected = comparable(answers[case]), comparable(expected)
    assert got == expected
