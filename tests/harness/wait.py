"""Waiting for something to become true, with a deadline."""

import time


class NodeEnded(Exception):
    """A node's process ended by itself: waiting for the cluster makes no sense any more."""


def wait_until(check, timeout=30.0, what="condition", pause=0.02):
    """Calls `check` until it returns something true, and returns that.

    An exception of `check` counts as "not yet"; the last one is named when the time is up.
    """
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            result = check()
            if result:
                return result
            last = None
        except NodeEnded:
            raise
        except Exception as error:  # whatever it is, it may pass
            last = error
        if time.monotonic() >= deadline:
            reason = f" (last error: {last!r})" if last else ""
            raise TimeoutError(f"{what} did not come true within {timeout} s{reason}")
        time.sleep(pause)
