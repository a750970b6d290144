"""Histories for `ottla verify check`, written by other clients than its own.

Whoever runs a load of his own (librdkafka, Java) writes down what it was told, line by line, and has
it judged as the recorder's own histories are. `docs/verify.md` tells what each line means.
"""

import json
import subprocess
import threading
import time

from .ottla import OttlaSystem

_CHECK_TIMEOUT = 300.0


def now():
    """The time of an event."""
    return time.monotonic_ns() // 1000


class HistoryFile:
    """Use: `with HistoryFile(path, {"topic": 3}) as history: history.sent(...)`, from any thread.

    Producers and readers are numbers of the caller's choice; `probers` are the producers that stalls
    are measured by (none: all). The final read must be of a topic that nobody writes to any more."""

    def __init__(self, path, topics, acks="all", idempotent=True, probers=()):
        self.path = path
        self._lock = threading.Lock()
        self._file = open(path, "w")
        shapes = [{"name": name, "partitions": count} for name, count in topics.items()]
        self._put("begin", version=1, run="", acks=acks, idempotent=idempotent, topics=shapes,
                  probers=list(probers))

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        """Without the last line, after an error, the history proves nothing."""
        if error is None:
            self._put("end", at=now(), complete=True)
        self._file.close()

    def _put(self, op, **fields):
        line = json.dumps({"op": op, **fields}, separators=(",", ":")) + "\n"
        with self._lock:
            self._file.write(line)

    def sent(self, producer, topic, partition, counter, began, outcome="ok", offset=None,
             ended=None):
        """Record `counter` of a producer in a partition, counted from 0. `outcome`: ok, refused (it
        was certainly not appended), unknown."""
        fields = {} if offset is None or offset < 0 else {"offset": offset}
        self._put("send", producer=producer, partition=f"{topic}-{partition}", counter=counter,
                  began=began, ended=ended or now(), outcome=outcome, **fields)

    def read(self, reader, topic, partition, records, session=0, group=None, final=False,
             damaged=()):
        """`records`: (offset, producer, counter) in the order in which they were read; `damaged`:
        (offset, reason) of those that are nobody's."""
        fields = {} if group is None else {"group": group}
        self._put("read", reader=reader, session=session, partition=f"{topic}-{partition}",
                  purpose="final" if final else "along", ended=now(), runs=list(_runs(records)),
                  damaged=[list(one) for one in damaged], **fields)

    def final_read(self, topic, partition, end, complete=True, start=0):
        """After the final reader's `read`s: whether it came to the partition's end."""
        self._put("final_read", partition=f"{topic}-{partition}", start=start, end=end,
                  complete=complete)

    def fault(self, kind, note="", at=None):
        """`heal` as the kind says that nothing is wrong from here on."""
        self._put("fault", at=at or now(), kind=kind, note=note)


def _runs(records):
    run = None
    for offset, producer, counter in records:
        if run and [offset, producer, counter] == [run[0] + run[3], run[1], run[2] + run[3]]:
            run[3] += 1
            continue
        if run:
            yield run
        run = [offset, producer, counter, 1]
    if run:
        yield run


def check(path, *args):
    """`ottla verify check`: (exit code, report)."""
    command = [str(OttlaSystem().binary), "verify", "check", str(path), "--json", *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_CHECK_TIMEOUT)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def broken(report):
    """Names of the invariants that are violated."""
    return {of["name"] for of in report["invariants"] if of["violations"]}


def judged(report):
    """Names of the invariants that had something to judge."""
    return {of["name"] for of in report["invariants"] if of["checked"]}
