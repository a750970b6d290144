"""Ports on loopback that stay free while their node is down.

They come from below the range in which the kernel picks ports for outgoing connections, so that
a killed node finds its port again.
"""

import random
import socket

_given = set()


def free_port():
    for _ in range(1000):
        port = random.randrange(10_000, 32_000)
        if port in _given:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError("no free port found")
