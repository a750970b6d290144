"""Any request of Apache Kafka in any version, spoken from the descriptions in its own clients' jar.

No client library stands between: a test names the fields as the protocol does, and sees all that a
node answered.
"""

import itertools
import json
import re
import socket
import struct
import uuid
import zipfile
from functools import lru_cache
from pathlib import Path

from . import kafka
from .protocol import _exactly, _Reader

NUMBERS = {"bool": "?", "int8": "b", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
           "int64": "q", "float64": "d"}
API_VERSIONS = 18


class Message(dict):
    """Fields of an answer, as attributes too."""

    __getattr__ = dict.__getitem__


@lru_cache(maxsize=None)
def _description(name):
    jar = Path(kafka.classpath()).parent / f"kafka-clients-{kafka.VERSION}.jar"
    with zipfile.ZipFile(jar) as files:
        text = files.read(f"common/message/{name}.json").decode()
    return json.loads(re.sub(r"(?m)^\s*//.*$|(?<=[,{}\]])\s*//.*$", "", text))


def _within(version, span):
    """Whether `span` ("3+", "0-4", "2", "none") holds `version`."""
    if not span or span == "none":
        return False
    first, _, last = span.partition("-") if "-" in span else (span.rstrip("+"), "", "")
    if span.endswith("+"):
        return version >= int(first)
    return int(first) <= version <= int(last or first)


def _varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


class _Codec:
    """The fields of one message in one version."""

    def __init__(self, name, version):
        self.description = _description(name)
        self.version = version
        self.flexible = _within(version, self.description["flexibleVersions"])
        self.structs = {s["name"]: s["fields"] for s in self.description.get("commonStructs", [])}

    def fields(self, fields):
        """(name, description) of the plain fields, and of the tagged ones."""
        there = [(f["name"][0].lower() + f["name"][1:], f) for f in fields
                 if _within(self.version, f["versions"])]
        tagged = [pair for pair in there if _within(self.version, pair[1].get("taggedVersions"))]
        return [pair for pair in there if pair not in tagged], tagged

    def inner(self, field):
        return field.get("fields") or self.structs[field["type"].removeprefix("[]")]

    # Writing.

    def default(self, field):
        given = field.get("default")
        kind = field["type"]
        if given in ("null", None) and (given or kind.startswith("[]")):
            return None if given else []
        if kind in NUMBERS:
            if isinstance(given, str):
                return given == "true" if kind == "bool" else int(given, 0)
            return given or 0
        empty = {"string": "", "bytes": b"", "records": None, "uuid": uuid.UUID(int=0)}
        return given if given is not None else empty.get(kind, {})

    def write(self, values, fields=None):
        plain, tagged = self.fields(self.description["fields"] if fields is None else fields)
        unknown = set(values) - {name for name, _ in plain + tagged}
        assert not unknown, f"{self.description['name']} v{self.version} has no {unknown}"
        out = b"".join(self._value(f["type"], values.get(name, self.default(f)), f)
                       for name, f in plain)
        if self.flexible:
            given = [(f["tag"], self._value(f["type"], values[name], f))
                     for name, f in tagged if name in values]
            out += _varint(len(given))
            for tag, value in sorted(given):
                out += _varint(tag) + _varint(len(value)) + value
        return out

    def _value(self, kind, value, field):
        if kind in NUMBERS:
            return struct.pack(">" + NUMBERS[kind], value)
        if kind == "uuid":
            return value.bytes
        if kind.startswith("[]"):
            items = b"" if value is None else b"".join(
                self._value(kind[2:], item, field) for item in value)
            return self._length("i", None if value is None else len(value)) + items
        if kind in ("string", "bytes", "records"):
            value = value.encode() if isinstance(value, str) else value
            code = "h" if kind == "string" else "i"
            return self._length(code, None if value is None else len(value)) + (value or b"")
        if field.get("nullableVersions") and not field["type"].startswith("[]"):
            return b"\xff" if value is None else b"\x01" + self.write(value, self.inner(field))
        return self.write(value, self.inner(field))

    def _length(self, code, length):
        if self.flexible:
            return _varint(0 if length is None else length + 1)
        return struct.pack(">" + code, -1 if length is None else length)

    # Reading.

    def read(self, reader, fields=None):
        plain, tagged = self.fields(self.description["fields"] if fields is None else fields)
        found = Message((name, self._read_value(f["type"], reader, f)) for name, f in plain)
        found.update((name, self.default(f)) for name, f in tagged)
        if self.flexible:
            tags = {f["tag"]: (name, f) for name, f in tagged}
            for _ in range(reader.varint()):
                tag, size = reader.varint(), reader.varint()
                if tag in tags:
                    name, field = tags[tag]
                    found[name] = self._read_value(field["type"], reader, field)
                else:
                    reader.take(size)
        return found

    def _read_value(self, kind, reader, field):
        if kind in NUMBERS:
            return reader.number(NUMBERS[kind])
        if kind == "uuid":
            return uuid.UUID(bytes=reader.take(16))
        if kind.startswith("[]"):
            count = self._read_length("i", reader)
            return None if count < 0 else [
                self._read_value(kind[2:], reader, field) for _ in range(count)]
        if kind in ("string", "bytes", "records"):
            length = self._read_length("h" if kind == "string" else "i", reader)
            data = None if length < 0 else reader.take(length)
            return data.decode() if kind == "string" and data is not None else data
        if field.get("nullableVersions") and not field["type"].startswith("[]"):
            if reader.number("b") < 0:
                return None
        return self.read(reader, self.inner(field))

    def _read_length(self, code, reader):
        return reader.varint() - 1 if self.flexible else reader.number(code)


class Connection:
    """One connection, one request after the other."""

    def __init__(self, address, timeout=30.0):
        self.socket = socket.create_connection(address, timeout=timeout)
        self.numbers = itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, api, version, **fields):
        """Sends a request; `answer` reads what comes."""
        codec = _Codec(f"{api}Request", version)
        number = next(self.numbers)
        key = codec.description["apiKey"]
        head = struct.pack(">hhih", key, version, number, 3) + b"raw"
        head += b"\0" if codec.flexible else b""
        frame = head + codec.write(fields)
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)
        self.awaited = (api, version, key, number)

    def answer(self):
        api, version, key, number = self.awaited
        size = struct.unpack(">i", _exactly(self.socket, 4))[0]
        reader = _Reader(_exactly(self.socket, size))
        assert reader.number("i") == number, "another request's answer"
        codec = _Codec(f"{api}Response", version)
        if codec.flexible and key != API_VERSIONS:
            reader.tags()
        found = codec.read(reader)
        assert reader.at == size, f"{size - reader.at} bytes behind a {api} v{version}"
        return found

    def ask(self, api, version, **fields):
        self.send(api, version, **fields)
        return self.answer()


def ask(address, api, version, **fields):
    """One request on a connection of its own."""
    with Connection(address) as connection:
        return connection.ask(api, version, **fields)
