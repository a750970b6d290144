"""Bytes that no client sends: each ends its own connection or gets a proper error, and the node
goes on with its memory as it was."""

import random
import socket
import struct
from pathlib import Path

import pytest
from clients.base import Record
from clients.confluent import Confluent
from harness import protocol

APIS_MAX = 95
# Room for what a node needs of its own meanwhile.
GROWTH_MAX_KB = 24 * 1024


def header(key, version, flexible=False, client=b"hostile"):
    return (struct.pack(">hhi", key, version, 7) + struct.pack(">h", len(client)) + client
            + (b"\0" if flexible else b""))


def frame(body):
    return struct.pack(">i", len(body)) + body


def answer(address, data, close_after=True):
    """Sends bytes and reads to the end. `None` where the node closed without a word."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(data)
        if close_after:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
        return received or None


def one_answer(address, data):
    """Sends a request and reads its answer, without the length."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(data)
        with connection.makefile("rb") as stream:
            return stream.read(struct.unpack(">i", stream.read(4))[0])


# What Kafka takes for null, and Ottla for an error.
STRICT = {"topics of negative length": frame(header(3, 1) + struct.pack(">i", -7))}

CLOSED_AT_ONCE = {
    "negative length": b"\xff\xff\xff\xff",
    "absurd length": b"\x7f\xff\xff\xff",
    "length above socket.request.max.bytes": struct.pack(">i", 104857601),
    "empty frame": frame(b""),
    "half a header": frame(b"\0\x03\0"),
    "unknown api": frame(header(32000, 0)),
    "negative api": frame(header(-5, 0)),
    "version above": frame(header(3, 99)),
    "negative version": frame(header(3, -1)),
    "client id longer than the frame": frame(struct.pack(">hhih", 3, 1, 7, 30000)),
    "client id of negative length": frame(struct.pack(">hhih", 3, 1, 7, -2)),
    "two thousand million topics": frame(header(3, 1) + b"\x7f\xff\xff\xff"),
    "topic name cut off": frame(header(3, 1) + struct.pack(">ih", 1, 200) + b"abc"),
    "varint without end": frame(header(3, 9, flexible=True) + b"\xff" * 20),
    "compact array of 2^32": frame(header(3, 9, flexible=True) + b"\xff\xff\xff\xff\x0f"),
    "tags without end": frame(header(18, 3) + b"\xff\xff\xff\xff\x0f"),
    "nested arrays that promise much": frame(
        header(1, 4) + struct.pack(">iiiib", -1, 1, 1, 1000, 0)
        + struct.pack(">ih", 1, 1) + b"t" + struct.pack(">i", 1 << 30)),
    "records longer than the frame": frame(
        header(0, 7) + struct.pack(">hhi", -1, 1, 1000) + struct.pack(">ih", 1, 1) + b"t"
        + struct.pack(">iii", 1, 0, 1 << 30)),
    **STRICT,
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": bytes.fromhex("16030100f5010000f1030300000000"),
}


@pytest.fixture
def address(cluster):
    return cluster.nodes[1].address


@pytest.mark.parametrize("name", CLOSED_AT_ONCE)
def test_what_cannot_be_read_ends_its_connection(name, address, system):
    if name in STRICT and system == "kafka":
        pytest.skip("Kafka answers it")
    assert answer(address, CLOSED_AT_ONCE[name], close_after=False) is None


@pytest.mark.parametrize("name", CLOSED_AT_ONCE)
def test_requests_before_a_bad_one_are_answered(name, address, system):
    if name in STRICT and system == "kafka":
        pytest.skip("Kafka answers it")
    good = frame(header(18, 0))
    received = answer(address, good + CLOSED_AT_ONCE[name], close_after=False)
    # Kafka may close before it has written what it had.
    assert received is None or struct.unpack(">ih", received[4:10]) == (7, 0)


def test_a_client_whose_name_is_no_text_is_served(address):
    received = one_answer(address, frame(header(3, 1, client=b"m\xfcl") + b"\0\0\0\0"))
    assert struct.unpack(">i", received[:4]) == (7,)


def test_a_frame_that_stops_halfway_is_dropped(address):
    assert answer(address, frame(header(3, 1) + b"\0\0\0\0")[:-3]) is None


def test_an_unsupported_api_versions_is_answered_in_version_0(address):
    received = one_answer(address, frame(header(18, 200, flexible=True)))
    correlation, error, count = struct.unpack(">ihi", received[:10])
    assert (correlation, error) == (7, 35)
    apis = [struct.unpack_from(">hhh", received, 10 + 6 * i) for i in range(count)]
    assert (18, 0, 5) in apis


def test_a_client_that_names_itself_badly_is_told(address):
    body = header(18, 3, flexible=True) + b"\x0ba b\tc\0\1\2\3x" + b"\x02" + b"1" + b"\0"
    received = one_answer(address, frame(body))
    assert struct.unpack(">ih", received[:6]) == (7, 42)  # INVALID_REQUEST


def memory_kb(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def peak_memory_kb(pid):
    """The most since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def forget_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@pytest.mark.parametrize("names", [1_000_001, 50_000_000])
def test_a_request_of_nothing_but_empty_names_costs_little_more_than_its_bytes(
        system, cluster, names):
    """A hundred million of them, in one frame of 100 MiB, came to 3.2 GB in memory."""
    if system != "ottla":
        pytest.skip("a JVM's memory tells nothing")
    address, pid = cluster.nodes[1].address, cluster.pid(1)
    body = varint(names + 1) + names * b"\x01" + struct.pack(">ib", 30_000, 0)
    data = frame(header(20, 4, flexible=True) + body)
    forget_peak(pid)
    before = peak_memory_kb(pid)
    assert answer(address, data, close_after=False) is None
    # Its buffer, once more while that grows, and what the node does meanwhile.
    assert peak_memory_kb(pid) - before < 3 * len(data) // 1024 + GROWTH_MAX_KB


def test_more_tagged_fields_than_kafka_allows_end_the_connection(system, address):
    if system != "ottla":
        pytest.skip("Kafka's limit is of version 4.4")
    tags = lambda count: varint(count) + count * b"\x64\0"
    request = lambda count: header(18, 3) + tags(count) + b"\x02a\x02b\0"
    assert one_answer(address, frame(request(10_000)))[:4] == struct.pack(">i", 7)
    assert answer(address, frame(request(10_001)), close_after=False) is None


def storm(address, rounds, seed):
    """Many broken requests of all kinds, on many connections."""
    random_ = random.Random(seed)
    for _ in range(rounds):
        kind = random_.randrange(4)
        if kind == 0:
            data = random_.choice(list(CLOSED_AT_ONCE.values()))
        elif kind == 1:  # noise under a good length
            data = frame(random_.randbytes(random_.randrange(200)))
        elif kind == 2:  # noise behind a good header
            key, version = random_.randrange(APIS_MAX), random_.randrange(14)
            data = frame(header(key, version, flexible=random_.random() < 0.5)
                         + random_.randbytes(random_.randrange(200)))
        else:  # a long frame, of which little comes
            data = struct.pack(">i", 100_000_000) + header(0, 9) + random_.randbytes(2000)
        try:
            answer(address, data)
        except TimeoutError:
            pass  # noise can be a request that waits


def test_the_node_stays_up_and_its_memory_flat_in_a_storm(system, cluster, bootstrap, make_topic):
    if system != "ottla":
        pytest.skip("a JVM's memory tells nothing")
    address, pid = cluster.nodes[1].address, cluster.pid(1)
    storm(address, 300, seed=1)  # what is allocated once
    before = memory_kb(pid)
    storm(address, 1500, seed=2)
    # Connections that promise a hundred megabytes each, and stay: they cost what they have sent.
    open_ = []
    for sent in 100 * [100] + 50 * [100_000]:
        connection = socket.create_connection(address, timeout=10)
        connection.sendall(struct.pack(">i", 100_000_000) + header(0, 9) + b"x" * sent)
        open_.append(connection)
    protocol.metadata(address)  # behind them
    grown = memory_kb(pid) - before
    for connection in open_:
        connection.close()
    assert grown < GROWTH_MAX_KB, f"{grown} kB more"
    assert cluster.pid(1) == pid and cluster.nodes[1].process.is_running()
    topic = make_topic(partitions=1)
    Confluent().produce(bootstrap, topic, [Record(b"v")])
    assert [r.value for r in Confluent().consume(bootstrap, topic, 1)] == [b"v"]
