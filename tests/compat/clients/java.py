"""Apache Kafka's own Java tools, each a process."""

import json
import re
import subprocess
import tempfile
import threading

from harness.kafka import tool

from .base import TIMEOUT, AdminClient, Client, Consumed, Refused, Stream

TOOLS = "org.apache.kafka.tools"
SEPARATOR = "\x1f"


def run(class_name, *args, data=b"", check=True):
    """Runs a tool; returns its standard output. A failure is `Refused` without a code."""
    done = subprocess.run(tool(class_name, *args), input=data, capture_output=True,
                          timeout=2 * TIMEOUT)
    out, errors = done.stdout.decode(), done.stderr.decode("utf-8", "replace")
    if check and done.returncode:
        raise Refused(-1, out + errors)
    return out


def _encoded(text):
    return None if text == "null" else text.encode()


class Java(Client):
    name = "java"
    timestamps = False
    error_codes = False

    def produce(self, bootstrap, topic, records, partition=None, acks="all", codec="none",
                idempotent=False):
        """ConsoleProducer. It has no flag for the partition; topics of one partition serve."""
        lines = []
        for record in records:
            # Without headers the field holds the null marker.
            headers = ",".join(f"{k}:{v.decode()}" for k, v in record.headers) or "null"
            key = "null" if record.key is None else record.key.decode()
            value = "null" if record.value is None else record.value.decode()
            lines.append(SEPARATOR.join([headers, key, value]) + "\n")
        args = ["--bootstrap-server", bootstrap, "--topic", topic, "--compression-codec", codec]
        args += ["--request-required-acks", str(acks).replace("all", "-1")]
        args += ["--command-property", f"enable.idempotence={str(idempotent).lower()}"]
        args += ["--command-property", "max.request.size=10000000", "--timeout", "5"]
        for name in ["parse.key=true", "parse.headers=true", f"key.separator={SEPARATOR}",
                     f"headers.delimiter={SEPARATOR}", "null.marker=null"]:
            args += ["--reader-property", name]
        done = subprocess.run(tool(f"{TOOLS}.ConsoleProducer", *args), capture_output=True,
                              input="".join(lines).encode(), timeout=2 * TIMEOUT)
        text = (done.stdout + done.stderr).decode("utf-8", "replace")
        if done.returncode or "ERROR" in text:
            raise Refused(-1, text)

    def consume(self, bootstrap, topic, count, partition=None):
        where = [] if partition is None else ["--partition", str(partition)]
        return self._consume(bootstrap, topic, count, "--from-beginning", *where)

    def consume_group(self, bootstrap, topic, count, group):
        return self._consume(bootstrap, topic, count, "--from-beginning", "--group", group)

    @staticmethod
    def _consume(bootstrap, topic, count, *more):
        args = ["--bootstrap-server", bootstrap, "--topic", topic, "--max-messages", str(count)]
        args += ["--timeout-ms", str(TIMEOUT * 1000), *more]
        for name in ["timestamp", "partition", "offset", "headers", "key", "value"]:
            args += ["--formatter-property", f"print.{name}=true"]
        args += ["--formatter-property", f"key.separator={SEPARATOR}"]
        lines = run(f"{TOOLS}.consumer.ConsoleConsumer", *args).splitlines()
        assert len(lines) >= count, f"{len(lines)} of {count} records came"
        return [Java._record(line) for line in lines]

    @staticmethod
    def _record(line):
        time, partition, offset, headers, key, value = line.split(SEPARATOR)
        kind, timestamp = time.split(":")
        pairs = [] if headers == "NO_HEADERS" else [h.split(":", 1) for h in headers.split(",")]
        return Consumed(
            int(partition.removeprefix("Partition:")),
            int(offset.removeprefix("Offset:")),
            _encoded(key),
            _encoded(value),
            [(k, _encoded(v)) for k, v in pairs],
            int(timestamp),
            kind == "LogAppendTime",
        )

    def stream(self, bootstrap, topic):
        return _Stream(bootstrap, topic)


class _Stream(Stream):
    """VerifiableProducer, which tells each acknowledgement. The topic has one partition."""

    def __init__(self, bootstrap, topic):
        args = ["--bootstrap-server", bootstrap, "--topic", topic, "--acks", "-1"]
        args += ["--max-messages", "-1", "--throughput", "1000"]
        # Without a file it does not retry.
        self.config = tempfile.NamedTemporaryFile("w", suffix=".properties")
        self.config.write("retries=2147483647\n")
        self.config.flush()
        args += ["--command-config", self.config.name]
        self.process = subprocess.Popen(tool(f"{TOOLS}.VerifiableProducer", *args),
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.acked = []
        self.errors = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event["name"] == "producer_send_success":
                self.acked.append(int(event["value"]))
            elif event["name"] == "producer_send_error":
                self.errors.append(event)

    def acknowledged(self):
        return len(self.acked)

    def finish(self):
        self.process.terminate()
        self.process.wait(TIMEOUT)
        self.thread.join(TIMEOUT)
        # The tool still makes sends while it closes, on our signal; they never left it.
        failed = [e for e in self.errors if not e["message"].startswith("Producer closed while")]
        if failed:
            raise Refused(-1, str(failed[0]))
        return self.acked

    def abort(self):
        self.process.kill()


class JavaAdmin(AdminClient):
    """TopicCommand, ConfigCommand and DeleteRecordsCommand. Errors have no codes."""

    name = "java"

    def _topics(self, bootstrap, *args):
        return run(f"{TOOLS}.TopicCommand", "--bootstrap-server", bootstrap, *args)

    def create(self, bootstrap, topic, partitions, factor, configs=None):
        args = ["--create", "--topic", topic, "--partitions", str(partitions)]
        args += ["--replication-factor", str(factor)]
        for key, value in (configs or {}).items():
            args += ["--config", f"{key}={value}"]
        assert f"Created topic {topic}." in self._topics(bootstrap, *args)

    def delete(self, bootstrap, topic):
        self._topics(bootstrap, "--delete", "--topic", topic)

    def add_partitions(self, bootstrap, topic, total):
        self._topics(bootstrap, "--alter", "--topic", topic, "--partitions", str(total))

    def names(self, bootstrap):
        return set(self._topics(bootstrap, "--list").split())

    def describe(self, bootstrap, topic):
        text = self._topics(bootstrap, "--describe", "--topic", topic)
        numbers = lambda text: [int(n) for n in text.split(",") if n]
        pattern = r"Partition: (\d+)\tLeader: (\d+)\tReplicas: ([\d,]*)\tIsr: ([\d,]*)\t"
        return {
            int(p): (int(leader), numbers(replicas), numbers(isr))
            for p, leader, replicas, isr in re.findall(pattern, text)
        }

    def _configs(self, bootstrap, *args):
        return run("org.apache.kafka.tools.ConfigCommand", "--bootstrap-server", bootstrap, *args)

    def set_config(self, bootstrap, topic, key, value):
        out = self._configs(bootstrap, "--alter", "--topic", topic, "--add-config",
                            f"{key}={value}")
        assert f"Completed updating config for topic {topic}." in out

    def config(self, bootstrap, topic, key):
        out = self._configs(bootstrap, "--describe", "--all", "--topic", topic)
        return re.search(rf"^  {re.escape(key)}=(\S*) sensitive=", out, re.M).group(1)

    def delete_records(self, bootstrap, topic, partition, offset, directory):
        plan = directory / "delete.json"
        entry = {"topic": topic, "partition": partition, "offset": offset}
        plan.write_text(json.dumps({"version": 1, "partitions": [entry]}))
        out = run(f"{TOOLS}.DeleteRecordsCommand", "--bootstrap-server", bootstrap,
                  "--offset-json-file", str(plan))
        return int(re.search(r"low_watermark: (-?\d+)", out).group(1))
