"""One node as a process: started, killed, paused and awaited by its pid."""

import atexit
import ctypes
import os
import signal
import subprocess
import weakref

_alive = weakref.WeakSet()
_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _die_with_parent():
    """Runs in the child: the kernel kills it when this Python process ends, however it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@atexit.register
def _kill_all():
    for process in list(_alive):
        process.kill()


class NodeProcess:
    """A started process whose output goes to a file."""

    def __init__(self, command, log_path, env=None):
        self.command = command
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                preexec_fn=_die_with_parent,
            )
        _alive.add(self)

    @property
    def pid(self):
        return self._process.pid

    def is_running(self):
        return self._process.poll() is None

    @property
    def exit_code(self):
        """None while it runs; negative after a signal."""
        return self._process.poll()

    def kill(self):
        """SIGKILL, and waits until the process is gone."""
        if self.is_running():
            # A stopped process dies of SIGKILL too.
            self._process.kill()
            self._process.wait()

    def terminate(self, timeout=30.0):
        """SIGTERM, and waits for an orderly end; SIGKILL if it takes too long.

        Returns the exit code, or None if it had to be killed."""
        if not self.is_running():
            return self._process.returncode
        self._process.terminate()
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def pause(self):
        """SIGSTOP: the process keeps its sockets and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def log_tail(self, lines=40):
        with open(self.log_path, "rb") as log:
            text = log.read().decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-lines:])
