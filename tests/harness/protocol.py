"""The few requests that the harness itself needs, spoken by hand.

It does not use a client library, so that a library's caching and retries do not hide what a node
says at this moment.
"""

import socket
import struct
from dataclasses import dataclass, field


@dataclass
class Partition:
    index: int
    error: int
    leader: int
    replicas: list
    isr: list


@dataclass
class Metadata:
    brokers: dict  # id -> (host, port)
    controller: int
    topics: dict = field(default_factory=dict)  # name -> {index: Partition}


class _Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        piece = self.data[self.at : self.at + count]
        if len(piece) < count:
            raise ValueError("response ends early")
        self.at += count
        return piece

    def number(self, code):
        return struct.unpack(">" + code, self.take(struct.calcsize(code)))[0]

    def string(self):
        length = self.number("h")
        return None if length < 0 else self.take(length).decode()

    def array(self, item):
        return [item() for _ in range(max(self.number("i"), 0))]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.number("B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    def compact_string(self):
        length = self.varint()
        return None if length == 0 else self.take(length - 1).decode()

    def tags(self):
        for _ in range(self.varint()):
            self.varint()
            self.take(self.varint())


def _string(text):
    return struct.pack(">h", len(text)) + text.encode()


def call(address, key, version, body, timeout=5.0, flexible=False):
    """Sends one request on a connection of its own and returns a reader behind the header."""
    header = struct.pack(">hhi", key, version, 1) + _string("harness")
    if flexible:
        header += b"\0"
    frame = header + body
    with socket.create_connection(address, timeout=timeout) as connection:
        connection.settimeout(timeout)
        connection.sendall(struct.pack(">i", len(frame)) + frame)
        reader = _Reader(_exactly(connection, struct.unpack(">i", _exactly(connection, 4))[0]))
    assert reader.number("i") == 1, "another request's answer"
    if flexible:
        reader.tags()
    return reader


def _exactly(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ConnectionError("closed in the middle of a response")
        data += piece
    return data


def metadata(address, topics=(), timeout=5.0, create=False):
    """What one node says of brokers and topics; unknown ones are made if `create`. Metadata version
    4."""
    body = struct.pack(">i", len(topics)) + b"".join(_string(topic) for topic in topics)
    reader = call(address, 3, 4, body + bytes([create]), timeout)
    reader.number("i")  # throttle time

    def broker():
        node, host, port = reader.number("i"), reader.string(), reader.number("i")
        reader.string()  # rack
        return node, (host, port)

    def partition():
        error, index, leader = reader.number("h"), reader.number("i"), reader.number("i")
        replicas = reader.array(lambda: reader.number("i"))
        isr = reader.array(lambda: reader.number("i"))
        return Partition(index, error, leader, replicas, isr)

    def topic():
        reader.number("h")  # error
        name = reader.string()
        reader.number("b")  # internal
        return name, {p.index: p for p in reader.array(partition)}

    brokers = dict(reader.array(broker))
    reader.string()  # cluster id
    return Metadata(brokers, reader.number("i"), dict(reader.array(topic)))


def quorum_leader(address, timeout=5.0):
    """The node that leads the controllers' quorum; None without one. DescribeQuorum version 0."""
    topic = b"\x13__cluster_metadata" + b"\x02" + struct.pack(">i", 0) + b"\0" + b"\0"
    reader = call(address, 55, 0, b"\x02" + topic + b"\0", timeout, flexible=True)
    if reader.number("h") != 0 or reader.varint() < 2:
        return None
    reader.compact_string()
    if reader.varint() < 2:
        return None
    _index, error, leader = reader.number("i"), reader.number("h"), reader.number("i")
    return leader if error == 0 and leader >= 0 else None


def end_offset(address, topic, partition, timeout=5.0):
    """The high watermark, asked of the leader at `address`. ListOffsets version 1."""
    body = struct.pack(">ii", -1, 1) + _string(topic) + struct.pack(">iiq", 1, partition, -1)
    reader = call(address, 2, 1, body, timeout)
    reader.number("i"), reader.string(), reader.number("i"), reader.number("i")
    error = reader.number("h")
    if error:
        raise RuntimeError(f"list offsets of {topic}-{partition}: error {error}")
    reader.number("q")
    return reader.number("q")


def coordinator(address, group, timeout=5.0):
    """The node that coordinates a group; None while there is none. FindCoordinator version 0."""
    reader = call(address, 10, 0, _string(group), timeout)
    error, node = reader.number("h"), reader.number("i")
    return node if error == 0 else None


def fetch(address, topic, partition, offset, timeout=5.0):
    """Fetch 4: (error code, bytes of record batches) of one partition."""
    body = struct.pack(">iiiib", -1, 100, 1, 1 << 20, 0)
    body += struct.pack(">i", 1) + _string(topic)
    body += struct.pack(">iiqi", 1, partition, offset, 1 << 20)
    reader = call(address, 1, 4, body, timeout)
    reader.number("i")  # throttle time

    def one():
        reader.number("i")
        error = reader.number("h")
        reader.number("q"), reader.number("q")
        reader.array(lambda: (reader.number("q"), reader.number("q")))
        return error, reader.take(max(reader.number("i"), 0))

    def of_topic():
        reader.string()
        return reader.array(one)

    return reader.array(of_topic)[0][0]
