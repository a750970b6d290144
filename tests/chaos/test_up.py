"""`ottla up` as a user runs it: what it prints, how it ends, and what it says to wrong arguments."""

import re
import signal
import subprocess
import time

import confluent_kafka
import pytest
from harness.ottla import OttlaSystem
from harness.ports import free_port

START_TIMEOUT = 30.0
# The goal of a stop is well below a second; this allows for a busy machine.
STOP_MAX = 3.0


class Up:
    """A running `ottla up`, with what it has printed."""

    def __init__(self, directory, *args):
        command = [OttlaSystem().binary, "up", "--data-dir", directory / "data", *args]
        self.process = subprocess.Popen([str(part) for part in command], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.printed = ""
        while "Ctrl-C stops all" not in self.printed:
            line = self.process.stdout.readline()
            assert line, f"`ottla up` ended: {self.printed}"
            self.printed += line
        self.pids = [int(pid) for pid in re.findall(r"^  \d+ .* (\d+)$", self.printed, re.M)]
        self.bootstrap = re.search(r"Bootstrap servers: (\S+)", self.printed)[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            # Its brokers end with it: they watch the pipe to it.
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def interrupt(self):
        """Ctrl-C; returns the exit code and the seconds that it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(20)
        return code, time.monotonic() - started


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def send_and_read(bootstrap, values):
    """Sends to topic `greetings`, and reads all that is in it."""
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "acks": "all",
                                         "enable.idempotence": True})
    for value in values:
        producer.produce("greetings", value)
    assert producer.flush(20) == 0
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "g",
                                         "auto.offset.reset": "earliest",
                                         "enable.partition.eof": True,
                                         "enable.auto.commit": False})
    consumer.subscribe(["greetings"])
    read, ended, deadline = [], set(), time.monotonic() + START_TIMEOUT
    count = len(consumer.list_topics("greetings").topics["greetings"].partitions)
    while len(ended) < count and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is None:
            continue
        if message.error():
            assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF
            ended.add(message.partition())
        else:
            read.append(message.value())
    consumer.close()
    return sorted(read)


def test_three_brokers_come_up_and_stop_at_ctrl_c_and_come_back_with_their_data(tmp_path):
    with Up(tmp_path, "--brokers", "3", "--clean", "--port", "0") as up:
        assert "A cluster of 3 brokers is ready" in up.printed
        assert len(up.pids) == 3 and all(map(is_running, up.pids))
        assert f"--bootstrap-server {up.bootstrap.split(',')[0]} --create" in up.printed
        assert send_and_read(up.bootstrap, [b"one", b"two"]) == [b"one", b"two"]
        code, took = up.interrupt()
        assert code == 0 and took < STOP_MAX
        assert not any(map(is_running, up.pids))
    with Up(tmp_path) as again:
        assert again.bootstrap == up.bootstrap
        assert send_and_read(again.bootstrap, [b"zero"]) == [b"one", b"two", b"zero"]
        assert again.interrupt()[0] == 0
    with Up(tmp_path, "--clean", "--port", "0") as clean:
        assert send_and_read(clean.bootstrap, [b"new"]) == [b"new"]
        assert clean.interrupt()[0] == 0


def test_brokers_end_when_up_itself_is_killed(tmp_path):
    with Up(tmp_path, "--port", "0") as up:
        up.process.kill()
        deadline = time.monotonic() + 10
        while any(map(is_running, up.pids)):
            assert time.monotonic() < deadline, "brokers live on"
            time.sleep(0.05)


def refused(*args):
    command = [str(part) for part in (OttlaSystem().binary, "up", *args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT)
    assert done.returncode == 2, done
    return done.stderr


@pytest.mark.parametrize("args, said", [
    (["--brokers", "0"], "0 is not in 1..=64"),
    (["--brokers", "abc"], "invalid digit"),
    (["--port", "70000"], "70000 is not in 0..=65535"),
    (["--bogus"], "unexpected argument '--bogus'"),
    (["extra"], "unexpected argument 'extra'"),
    (["--data-dir", "/dev/null/x"], "cannot keep a cluster in /dev/null/x"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_wrong_arguments_are_refused_by_name(args, said):
    assert said in refused(*args)


def test_ports_past_the_last_one_are_refused(tmp_path):
    said = refused("--data-dir", tmp_path / "data", "--port", "65530")
    assert "3 brokers do not fit above port 65530" in said


def test_a_foreign_directory_is_neither_used_nor_cleaned(tmp_path):
    (tmp_path / "letters.txt").write_text("dear")
    for args in ([], ["--clean"]):
        said = refused("--data-dir", tmp_path, *args)
        assert "holds something else than a cluster" in said
    assert (tmp_path / "letters.txt").read_text() == "dear"


def test_a_cluster_keeps_its_ports_and_its_size_and_is_not_started_twice(tmp_path):
    with Up(tmp_path, "--brokers", "1", "--port", "0") as up:
        assert "is used by another `ottla up`" in refused("--data-dir", tmp_path / "data")
        up.interrupt()
    port = up.bootstrap.rpartition(":")[2]
    said = refused("--data-dir", tmp_path / "data", "--brokers", "1", "--port", free_port())
    assert f"holds a cluster on port {port}" in said
    assert "a cluster of 1 brokers" in refused("--data-dir", tmp_path / "data", "--brokers", "2")
