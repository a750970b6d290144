"""kcat, the command line of librdkafka (Debian's, older than the one of confluent-kafka)."""

import json
import subprocess
import threading

from .base import TIMEOUT, Client, Consumed, Refused, Stream

KEY_SEPARATOR = "\x1f"


class Kcat(Client):
    name = "kcat"
    timestamps = False
    error_codes = False

    @staticmethod
    def _run(args, data=b""):
        done = subprocess.run(["kcat", *args], input=data, capture_output=True, timeout=TIMEOUT)
        return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")

    @staticmethod
    def _producer(bootstrap, topic, partition, acks, idempotent):
        args = ["-P", "-b", bootstrap, "-t", topic, "-X", f"acks={acks}"]
        args += ["-X", f"enable.idempotence={str(idempotent).lower()}"]
        args += ["-X", "message.max.bytes=10000000", "-X", "queue.buffering.max.ms=5"]
        return args if partition is None else [*args, "-p", str(partition)]

    def produce(self, bootstrap, topic, records, partition=None, acks="all", codec="none",
                idempotent=False):
        # Headers are the same for all records of a run, so a run is what has the same headers.
        runs = []
        for record in records:
            if not runs or runs[-1][0].headers != record.headers:
                runs.append([])
            runs[-1].append(record)
        for run in runs:
            args = self._producer(bootstrap, topic, partition, acks, idempotent)
            args += ["-z", codec, "-K", KEY_SEPARATOR, "-Z"]
            for key, value in run[0].headers:
                args += ["-H", key if value is None else f"{key}={value.decode()}"]
            lines = [
                (r.key or b"") + KEY_SEPARATOR.encode() + (r.value or b"") + b"\n" for r in run
            ]
            code, _, errors = self._run(args, b"".join(lines))
            if code or "Delivery failed" in errors:
                raise Refused(-1, errors)

    def consume(self, bootstrap, topic, count, partition=None):
        args = ["-C", "-b", bootstrap, "-t", topic, "-o", "beginning", "-c", str(count)]
        args += [] if partition is None else ["-p", str(partition)]
        return self._consume(args, count)

    def _consume(self, args, count):
        # It asks for metadata the broker that it reached first, and gives up after 5 s where that
        # one dies before it has answered, though it knows others by then.
        for _ in range(2):
            code, out, errors = self._run([*args, "-J", "-q"])
            if out or "Failed to query metadata" not in errors:
                break
        # Line ends and such are escaped in JSON, so a line is a record.
        lines = [json.loads(line) for line in out.decode().splitlines()]
        assert len(lines) >= count, f"{len(lines)} of {count} records came: {code} {errors}"
        return [self._record(line) for line in lines]

    @staticmethod
    def _record(line):
        encoded = lambda text: None if text is None else text.encode()
        flat = line.get("headers", [])
        headers = [(k, encoded(v)) for k, v in zip(flat[::2], flat[1::2])]
        return Consumed(line["partition"], line["offset"], encoded(line["key"]),
                        encoded(line["payload"]), headers, line["ts"],
                        line["tstype"] == "logappend")

    def consume_group(self, bootstrap, topic, count, group):
        args = ["-b", bootstrap, "-X", "auto.offset.reset=earliest", "-c", str(count)]
        return self._consume([*args, "-G", group, topic], count)

    def stream(self, bootstrap, topic):
        return _Stream(self._producer(bootstrap, topic, 0, "all", True))


class _Stream(Stream):
    """Its records are acknowledged as a whole, by kcat's exit code."""

    def __init__(self, args):
        self.process = subprocess.Popen(["kcat", *args], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.sent = 0
        self.budget = 0
        self.changed = threading.Condition()
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while True:
                with self.changed:
                    self.changed.wait_for(lambda: self.stopping or self.budget > 0)
                    if self.stopping:
                        return
                    self.budget -= 1
                # kcat reads whole blocks of input, so a short line would wait for others.
                self.process.stdin.write(b"%d %s\n" % (self.sent, b"x" * 1000))
                self.process.stdin.flush()
                self.sent += 1
        except BrokenPipeError:
            pass  # `finish` tells why kcat ended

    def allow(self, count):
        """Lets it send so many more records: there is no telling how far it is."""
        with self.changed:
            self.budget += count
            self.changed.notify_all()

    def acknowledged(self):
        return None

    def finish(self):
        with self.changed:
            self.changed.wait_for(lambda: self.budget <= 0 or self.process.poll() is not None,
                                  TIMEOUT)
            self.stopping = True
            self.changed.notify_all()
        self.thread.join(TIMEOUT)
        _, errors = self.process.communicate(timeout=TIMEOUT)
        text = errors.decode("utf-8", "replace")
        if self.process.returncode or "Delivery failed" in text:
            raise Refused(-1, text)
        return list(range(self.sent))

    def abort(self):
        self.process.kill()
