"""A network for a browser alone, since Chromium breaks off its requests whenever an interface comes or goes.

Other tests add and remove interfaces while the pages are looked at.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

from tests.require import require_program

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
NETWORK = (
    "link set lo up",
    "link add out mtu 1000 type veth peer name far mtu 1000",
    "address add 192.0.2.1/24 dev out",
    "link set far up",
    "link set out up",
)
"""Loopback, and a way out that leads nowhere: with loopback alone a browser holds itself for offline. Packets are too
short for IPv6, whose addresses would come by themselves a while later."""


class Relay(ThreadingTCPServer):
    """Takes connections where it was made, and goes on with them to the same port where it runs."""

    request_queue_size = 128


class Way(BaseRequestHandler):
    """One connection; each direction ends by itself."""

    def handle(self) -> None:
        """Until both ends are done."""
        with suppress(OSError), socket.create_connection(self.server.server_address) as far:
            back = threading.Thread(target=pump, args=(far, self.request))
            back.start()
            pump(self.request, far)
            back.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what comes, and then the end of it."""
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def apart(program: Path, port: int, folder: Path) -> Iterator[Path]:
    """What starts `program` in a network of its own, where 127.0.0.1:`port` leads to the same port outside.

    It is a script in `folder`. Where no such network may be made (that takes root) it is `program` itself.
    """
    try:
        with ThreadPoolExecutor(1) as thread:  # a network is a thread's own, so this one ends with it
            made = thread.submit(_make, port).result()
    except PermissionError:
        made = None
    if made is None:
        yield program
        return
    namespace, relay = made
    try:
        script = folder / program.name
        enter = [str(require_program("nsenter")), f"--net=/proc/{os.getpid()}/fd/{namespace}", str(program)]
        script.write_text(f'#!/bin/sh\nexec {shlex.join(enter)} "$@"\n')
        script.chmod(0o755)
        serving = threading.Thread(target=relay.serve_forever)
        serving.start()
        try:
            yield script
        finally:
            relay.shutdown()
            serving.join()
    finally:
        relay.server_close()
        os.close(namespace)


def _make(port: int) -> tuple[int, Relay]:
    """Move this thread to a new network: what holds that, and a relay that listens in it."""
    if LIBC.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    ip = require_program("ip")
    for change in NETWORK:
        subprocess.run([ip, *change.split()], check=True)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY), Relay(("127.0.0.1", port), Way)
