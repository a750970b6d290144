"""What a test asks of a client."""

import os
from dataclasses import dataclass, field

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# Long enough for an election and a rebalance; nothing waits for it to pass.
TIMEOUT = int(os.environ.get("COMPAT_TIMEOUT", 60))


@dataclass
class Record:
    value: bytes
    key: bytes = None
    headers: list = field(default_factory=list)
    timestamp: int = None


@dataclass
class Consumed:
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: list
    timestamp: int
    append_time: bool


class Refused(Exception):
    """The cluster refused a record or an administrative call, with Kafka's error code."""

    def __init__(self, code, text=""):
        super().__init__(f"error {code}: {text}")
        self.code = code


# Kafka's numbers of the errors that the tests meet.
UNKNOWN_TOPIC_OR_PARTITION = 3
MESSAGE_TOO_LARGE = 10
INVALID_TOPIC = 17
TOPIC_ALREADY_EXISTS = 36
INVALID_PARTITIONS = 37
INVALID_REPLICATION_FACTOR = 38
INVALID_CONFIG = 40


class Client:
    """One client library or program. Methods block until all is done, or raise."""

    name = "?"
    # What it can do besides producing and consuming keys and values.
    headers = True
    timestamps = True
    # Whether a failed delivery tells Kafka's error code.
    error_codes = True

    def produce(self, bootstrap, topic, records, partition=None, acks="all", codec="none",
                idempotent=False):
        """Sends records in order and waits for all of them."""
        raise NotImplementedError

    def consume(self, bootstrap, topic, count, partition=None):
        """Reads `count` records from the beginning, of one or of all partitions."""
        raise NotImplementedError

    def consume_group(self, bootstrap, topic, count, group):
        """Reads exactly `count` records as the only member of a group, commits and leaves."""
        raise NotImplementedError

    def stream(self, bootstrap, topic):
        """Starts to send `0`, `1`, `2`, ... to partition 0 with acks=all; returns a Stream."""
        raise NotImplementedError

    def __repr__(self):
        return self.name


class Stream:
    """Records on their way, one after the other, until `finish`."""

    def acknowledged(self):
        """How many records are known to be acknowledged by now; None if the client cannot tell."""
        raise NotImplementedError

    def finish(self):
        """Stops sending, waits for everything sent, and returns the acknowledged numbers in the
        order in which they were sent. Raises if a record failed."""
        raise NotImplementedError

    def abort(self):
        """Ends it, whatever its state."""


class AdminClient:
    """Administration by one library. Errors are `Refused`."""

    name = "?"

    def create(self, bootstrap, topic, partitions, factor, configs=None):
        raise NotImplementedError

    def delete(self, bootstrap, topic):
        raise NotImplementedError

    def add_partitions(self, bootstrap, topic, total):
        raise NotImplementedError

    def names(self, bootstrap):
        raise NotImplementedError

    def describe(self, bootstrap, topic):
        """{partition: (leader, [replicas], [isr])}"""
        raise NotImplementedError

    def set_config(self, bootstrap, topic, key, value):
        raise NotImplementedError

    def config(self, bootstrap, topic, key):
        raise NotImplementedError

    def delete_records(self, bootstrap, topic, partition, offset):
        """Returns the new low watermark."""
        raise NotImplementedError

    def __repr__(self):
        return self.name
