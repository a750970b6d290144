"""A disk that is slow to sync for chosen processes, by the kernel's own throttling of what they write.
Needs root and the block controller of cgroups, of either version."""

import os
import subprocess
import sys
import time
from pathlib import Path

_V1 = Path("/sys/fs/cgroup/blkio")
_V2 = Path("/sys/fs/cgroup")

_PROBE = """
import os, sys, time
with open(sys.argv[1], "wb") as file:
    for _ in range(2):
        began = time.monotonic()
        file.write(bytes(100)); file.flush(); os.fdatasync(file.fileno())
print(time.monotonic() - began)
"""


class Unavailable(Exception):
    """Writes cannot be throttled here; says why."""


def _device(directory):
    """major:minor of the whole disk that a directory is on."""
    device = os.stat(directory).st_dev
    entry = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    if (entry / "partition").exists():
        entry = entry.parent
    if not (entry / "dev").exists():
        raise Unavailable(f"{directory} is on no block device")
    return (entry / "dev").read_text().strip()


class SlowDisk:
    """Slows down whoever is added, until `close`."""

    def __init__(self, directory, writes_per_second):
        self.directory = Path(directory)
        device = _device(directory)
        root, name, limit = _V1, "blkio.throttle.write_iops_device", f"{device} {writes_per_second}"
        if not _V1.is_dir():
            root, name, limit = _V2, "io.max", f"{device} wiops={writes_per_second}"
        self.root = root
        self.group = root / f"ottla-slow-{os.getpid()}"
        try:
            self.group.mkdir(exist_ok=True)
            (self.group / name).write_text(limit)
        except OSError as error:
            self.close()
            raise Unavailable(f"{self.group / name}: {error}") from error

    def add(self, pid):
        (self.group / "cgroup.procs").write_text(str(pid))

    def sync_seconds(self):
        """What a sync takes whoever is slowed down."""
        file = self.directory / "probe"
        command = [sys.executable, "-c", _PROBE, file]
        probe = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=lambda: self.add(0))
        took = float(probe.communicate(timeout=60)[0])
        file.unlink()
        return took

    def close(self):
        """Nobody is slow any more."""
        if not self.group.is_dir():
            return
        for pid in (self.group / "cgroup.procs").read_text().split():
            try:
                (self.root / "cgroup.procs").write_text(pid)
            except ProcessLookupError:
                pass
        # A process that has just ended is in it for a moment.
        for _ in range(100):
            try:
                return self.group.rmdir()
            except OSError:
                time.sleep(0.05)
        self.group.rmdir()
