"""As much of AMQP 0-9-1 as it takes to hold messages: a consumer that acknowledges nothing.

Frames and methods: https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf. The broker's own driver is no part of
Hostward, which only asks the management API.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

START, START_OK, TUNE, TUNE_OK, OPEN, OPEN_OK = ((10, method) for method in (10, 11, 30, 31, 40, 41))
CHANNEL_OPEN, CHANNEL_OPEN_OK = (20, 10), (20, 11)
CONSUME, CONSUME_OK = (60, 20), (60, 21)


def short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def long(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def say(connection: socket.socket, channel: int, method: tuple[int, int], arguments: bytes) -> None:
    payload = struct.pack(">HH", *method) + arguments
    connection.sendall(struct.pack(">BHI", 1, channel, len(payload)) + payload + b"\xce")


def hear(connection: socket.socket, method: tuple[int, int]) -> None:
    """Read frames up to that of this method; what comes before (heartbeats) does not matter here."""
    stream = connection.makefile("rb", buffering=0)
    with stream:
        while True:
            kind, _, size = struct.unpack(">BHI", read(stream, 7))
            payload = read(stream, size + 1)
            if kind == 1 and struct.unpack(">HH", payload[:4]) == method:
                return


def read(stream: socket.SocketIO, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = stream.read(size - len(data))
        assert chunk, "the broker closed the connection"
        data += chunk
    return data


@contextmanager
def consumer(port: int, queue: str) -> Iterator[None]:
    """Takes every message of a queue as `guest`, and keeps it."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        hear(connection, START)
        answer = long(b"") + short("PLAIN") + long(b"\0guest\0guest") + short("en_US")
        say(connection, 0, START_OK, answer)
        hear(connection, TUNE)
        say(connection, 0, TUNE_OK, struct.pack(">HIH", 2047, 131072, 0))
        say(connection, 0, OPEN, short("/") + short("") + b"\0")
        hear(connection, OPEN_OK)
        say(connection, 1, CHANNEL_OPEN, short(""))
        hear(connection, CHANNEL_OPEN_OK)
        say(connection, 1, CONSUME, b"\0\0" + short(queue) + short("") + b"\0" + long(b""))
        hear(connection, CONSUME_OK)
        yield
