"""Ports for the servers that tests start."""

from __future__ import annotations

import itertools
import os
import secrets
import socket

_FIRST = 10_000
_EACH = 2_000
_MOST = 11
"""Workers of their own; all ports are below 32768, from where on the kernel takes those of clients (ip(7))."""


def _of_this_worker() -> list[int]:
    """No other worker's tests are given them, and tests that run beside these begin elsewhere."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _MOST
    begin = secrets.randbelow(_EACH)
    return [_FIRST + number * _EACH + (begin + place) % _EACH for place in range(_EACH)]


_ports = itertools.cycle(_of_this_worker())


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now, by TCP as by UDP, and nobody is given for a long time.

    One of those that the kernel gives may be another's before the server is there to take it, or was a client's: then
    nobody else gets it for a minute.
    """
    while True:
        port = next(_ports)
        try:
            with socket.create_server(("127.0.0.1", port)), socket.socket(type=socket.SOCK_DGRAM) as datagrams:
                datagrams.bind(("127.0.0.1", port))
                return port
        except OSError:
            continue
