"""`ottla verify` as a process beside the cluster that it checks."""

import json
import subprocess

from harness import wait_until
from harness.ottla import OttlaSystem

# Longer than any load here: the test ends it.
_DURATION = "10m"
_END_TIMEOUT = 180.0


class Recorder:
    """Runs from `with` on; `finish` ends the load and returns (exit code, report)."""

    def __init__(self, cluster, directory, *args):
        self.history = directory / "history.jsonl"
        self._errors = directory / "errors.txt"
        self._command = [
            str(OttlaSystem().binary), "verify", "--bootstrap-server", cluster.bootstrap,
            "--history", str(self.history), "--duration", _DURATION, "--notes", "--json", *args,
        ]
        self._process = None

    def __enter__(self):
        with open(self._errors, "wb") as errors:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                text=True,
            )
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def note(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def acknowledged(self):
        """How many records the history, as far as it is written, has as acknowledged."""
        if not self.history.exists():
            return 0
        return sum(event.get("count", 1) for event in self._events()
                   if event["op"] == "send" and event["outcome"] == "ok")

    def topics(self):
        return [topic["name"] for topic in next(self._events())["topics"]]

    def _events(self):
        with open(self.history) as file:
            for line in file:
                # The last line may be half written.
                if line.endswith("\n"):
                    yield json.loads(line)

    def flow(self, records=3000):
        """Waits until so many more records are acknowledged."""
        self._check()
        target = self.acknowledged() + records

        def flowed():
            self._check()
            return self.acknowledged() >= target

        wait_until(flowed, 60.0, f"{records} more records", pause=0.5)

    def _check(self):
        assert self._process.poll() is None, self._errors.read_text()

    def finish(self):
        self._check()
        output, _ = self._process.communicate("stop\n", timeout=_END_TIMEOUT)
        assert output, self._errors.read_text()
        return self._process.returncode, json.loads(output)
