"""A question to a job's watcher, and its answer."""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path

from agent.backups.watch.place import SOCKET
from agent.backups.watch.protocol import LENGTH, MAX_ANSWER, ProtocolError, Question, encode_question


def exchange(folder: Path, question: Question, patience: float) -> bytes:
    """Ask the watcher whose socket is in `folder`, and wait for at most so many seconds.

    Raises OSError where nobody answers in time, ProtocolError.
    """
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            end = time.monotonic() + patience
            connection.settimeout(patience)
            connection.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
            user = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
            if user not in (0, os.geteuid()):
                raise ProtocolError(f"it belongs to user {user}")
            connection.sendall(encode_question(question))
            (length,) = LENGTH.unpack(_exactly(connection, LENGTH.size, end))
            if length > MAX_ANSWER:
                raise ProtocolError(f"its answer is longer than {MAX_ANSWER} bytes")
            return _exactly(connection, length, end)
    finally:
        os.close(descriptor)


def _exactly(connection: socket.socket, length: int, end: float) -> bytes:
    parts = []
    while length:
        connection.settimeout(max(0.001, end - time.monotonic()))
        part = connection.recv(min(length, 1 << 20))
        if not part:
            raise ProtocolError("it hung up")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
