"""Small file systems of their own, which fill up and fail for real. Needs root and loop devices."""

import errno
import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path

from .wait import wait_until

# ext4: from now on every read and write fails with an I/O error.
_SHUTDOWN = 0x8004587D
_WITHOUT_LOG = 2
# Whoever writes waits, until it is thawed.
_FREEZE, _THAW = 0xC0045877, 0xC0045878


def available():
    """Whether volumes can be made here."""
    return os.geteuid() == 0 and all(map(shutil.which, ("mount", "umount", "losetup", "mkfs.ext4")))


class Volume:
    """A mounted file system in a file; `close` unmounts it and removes the file."""

    def __init__(self, directory, name, megabytes, journal=False):
        """With a journal it survives a power cut; without, it can only fail."""
        self.is_frozen = False
        self.path = Path(directory) / name
        self.image = Path(directory) / f"{name}.img"
        self.path.mkdir(parents=True)
        with open(self.image, "wb") as image:
            image.truncate(megabytes << 20)
        journaled = ("-J", "size=4") if journal else ("-O", "^has_journal")
        _run("mkfs.ext4", "-q", "-F", *journaled, "-m", "0", self.image)
        self.mount()
        (self.path / "lost+found").rmdir()

    def mount(self):
        _run("mount", "-o", "loop", self.image, self.path)

    def fail(self):
        """Fails the disk under whoever uses it."""
        self._tell(_SHUTDOWN, struct.pack("I", _WITHOUT_LOG))

    def has_failed(self):
        """Whether every write fails now."""
        try:
            (self.path / "probe").touch()
        except OSError as error:
            return error.errno == errno.EIO
        (self.path / "probe").unlink()
        return False

    def power_up(self):
        """After `fail`, as after a power cut: what was synced is there, the rest is gone. Nobody may
        have a file open."""
        _run("umount", self.path)
        # A container or namespace that is just starting has a copy of all mounts for a moment, and
        # with it this file system as it failed.
        wait_until(self._is_detached, 30, f"nobody holding {self.image}")
        self.mount()

    def _is_detached(self):
        told = subprocess.run(["losetup", "-j", self.image], check=True, capture_output=True)
        return not told.stdout

    def freeze(self):
        """The disk hangs: every write waits until `thaw`."""
        self._tell(_FREEZE)
        self.is_frozen = True

    def thaw(self):
        self.is_frozen = False
        self._tell(_THAW)

    def _tell(self, request, argument=0):
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, request, argument)
        finally:
            os.close(handle)

    def fill(self, leave=0):
        """Takes all space but `leave` bytes; returns the file to remove."""
        filler = self.path / "filler"
        with open(filler, "wb") as out:
            room = shutil.disk_usage(self.path).free - leave
            os.posix_fallocate(out.fileno(), 0, max(room, 1))
        return filler

    def close(self):
        if self.is_frozen:
            self.thaw()
        if self.path.is_mount():
            _run("umount", "-l", self.path)
        self.image.unlink(missing_ok=True)


def _run(*command):
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
