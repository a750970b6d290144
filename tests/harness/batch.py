"""Record batches made by hand, right or wrong in any field, and Produce requests that carry them."""

import gzip
import struct
from dataclasses import dataclass, field, replace

from . import protocol

_TABLE = []
for _n in range(256):
    for _ in range(8):
        _n = (_n >> 1) ^ (0x82F63B78 if _n & 1 else 0)
    _TABLE.append(_n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def varint(value):
    """Zig-zag, as in records."""
    value = ((value << 1) ^ (value >> 63)) & 0xFFFFFFFFFFFFFFFF
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _bytes(value):
    return varint(-1) if value is None else varint(len(value)) + value


def record(offset_delta, timestamp_delta, key, value, headers=(), attributes=0):
    body = struct.pack("b", attributes) + varint(timestamp_delta) + varint(offset_delta)
    body += _bytes(key) + _bytes(value) + varint(len(headers))
    for name, content in headers:
        body += _bytes(name) + _bytes(content)
    return varint(len(body)) + body


def xerial(plain):
    """Snappy framing with one block of literals only: no library needed."""
    size, preamble = len(plain), b""
    while size >= 0x80:
        preamble += bytes([size & 0x7F | 0x80])
        size >>= 7
    block = preamble + bytes([size])
    for at in range(0, len(plain), 60):
        piece = plain[at : at + 60]
        block += bytes([(len(piece) - 1) << 2]) + piece
    return b"\x82SNAPPY\0" + struct.pack(">iii", 1, 1, len(block)) + block


def _zstd(plain):
    """One raw block in a frame: no library needed."""
    assert len(plain) < 256
    block = struct.pack("<I", len(plain) << 3 | 1)[:3] + plain
    return b"\x28\xb5\x2f\xfd\x20" + bytes([len(plain)]) + block


CODECS = {0: bytes, 1: gzip.compress, 2: xerial, 4: _zstd}


@dataclass
class Batch:
    """`with_` changes fields; None for count, delta, timestamps and CRC means the true value."""

    records: list = field(default_factory=list)  # of (timestamp, key, value)
    codec: int = 0
    attributes: int = 0
    base_offset: int = 0
    base_timestamp: int = None
    max_timestamp: int = None
    last_offset_delta: int = None
    count: int = None
    producer_id: int = -1
    producer_epoch: int = -1
    base_sequence: int = -1
    magic: int = 2
    crc: int = None
    length_error: int = 0
    payload: bytes = None  # as it is sent, in place of the records

    def with_(self, **fields):
        return replace(self, **fields)

    def encode(self):
        base = self.base_timestamp
        if base is None:
            base = self.records[0][0] if self.records else -1
        latest = self.max_timestamp
        if latest is None:
            latest = max((r[0] for r in self.records), default=-1)
        payload = self.payload
        if payload is None:
            plain = b"".join(
                record(i, r[0] - base, r[1], r[2], *r[3:]) for i, r in enumerate(self.records)
            )
            payload = CODECS[self.codec](plain)
        count = len(self.records) if self.count is None else self.count
        delta = len(self.records) - 1 if self.last_offset_delta is None else self.last_offset_delta
        tail = struct.pack(
            ">hiqqqhii", self.attributes | self.codec, delta, base, latest, self.producer_id,
            self.producer_epoch, self.base_sequence, count,
        ) + payload
        crc = crc32c(tail) if self.crc is None else self.crc
        length = 9 + len(tail) + self.length_error
        return struct.pack(">qiibI", self.base_offset, length, -1, self.magic, crc) + tail


def legacy_message(magic, timestamp, key, value):
    """A message of the formats before batches."""
    import zlib

    body = struct.pack(">bb", magic, 0)
    if magic == 1:
        body += struct.pack(">q", timestamp)
    for part in (key, value):
        body += struct.pack(">i", -1) if part is None else struct.pack(">i", len(part)) + part
    body = struct.pack(">I", zlib.crc32(body)) + body
    return struct.pack(">qi", 0, len(body)) + body


@dataclass
class Produced:
    error: int
    base_offset: int
    log_append_time: int
    log_start_offset: int
    record_errors: list
    message: str


def produce(address, topic, records, version=8, acks=-1, partition=0, timeout=10.0):
    """Sends `records` (bytes or None) to one partition, by Produce 3 to 8."""
    body = struct.pack(">hhi", -1, acks, 5000) + struct.pack(">i", 1)
    body += struct.pack(">h", len(topic)) + topic.encode() + struct.pack(">ii", 1, partition)
    body += struct.pack(">i", -1) if records is None else struct.pack(">i", len(records)) + records
    reader = protocol.call(address, 0, version, body, timeout)

    def record_error():
        return [reader.number("i"), reader.string()]

    def answer():
        reader.number("i")  # partition
        error, base = reader.number("h"), reader.number("q")
        time = reader.number("q")
        start = reader.number("q") if version >= 5 else -1
        errors = reader.array(record_error) if version >= 8 else []
        return Produced(error, base, time, start, errors, reader.string() if version >= 8 else None)

    def of_topic():
        reader.string()
        return reader.array(answer)

    return reader.array(of_topic)[0][0]
