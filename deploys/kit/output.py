"""What a command on a host prints, kept up to so many bytes: its head and its tail.

pyinfra keeps all of it, so that one host that prints without end takes all the memory of the machine that asks. What
is left out is named in its place; what reads such output as JSON fails with that, and does not take it for whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import Queue

import pyinfra.connectors.util
from paramiko.file import BufferedFile
from pyinfra.api.output import echo
from pyinfra.connectors.util import OutputLine

HEAD = 4 << 20
"""Bytes of each of a command's outputs that are kept from its beginning."""
TAIL = 4 << 20
"""And from its end."""
PIECE = 8192
"""Bytes that are read at one time, of a line that long or longer."""


def bound() -> None:
    """From now on, in this process."""
    vars(pyinfra.connectors.util)["read_buffer"] = read_buffer


def read_buffer(
    name: str,
    io: Iterable[str | bytes],
    output_queue: Queue[OutputLine],
    print_output: bool = False,
    print_func: Callable[[str], str] | None = None,
) -> None:
    """As pyinfra.connectors.util.read_buffer: lines into the queue, as they come as long as it is the head."""

    def put(line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\n")
        output_queue.put(OutputLine(name, text))
        if print_output:
            echo(print_func(text) if print_func else text, err=True)

    line = bytearray()
    tail: deque[bytes] = deque()
    room, kept, left_out = HEAD, 0, 0
    for piece in _pieces(io):
        if room > 0:
            room -= len(piece)
            line += piece
            if piece.endswith(b"\n"):
                put(bytes(line))
                line.clear()
            continue
        tail.append(piece)
        kept += len(piece)
        while kept - len(tail[0]) >= TAIL:
            kept -= len(tail[0])
            left_out += len(tail.popleft())
    if left_out:
        if line:
            put(bytes(line))
            line.clear()
        put(f"[{left_out} bytes are left out here]".encode())
    for piece in tail:
        line += piece
        if piece.endswith(b"\n"):
            put(bytes(line))
            line.clear()
    if line:
        put(bytes(line))


def _pieces(io: Iterable[str | bytes]) -> Iterator[bytes]:
    """Lines, each in as many pieces as it takes."""
    if isinstance(io, BufferedFile):
        # As text it would take the half of a character at the end of a piece for a mistake.
        vars(io)["_flags"] |= BufferedFile.FLAG_BINARY
    readline = getattr(io, "readline", None)
    for piece in io if readline is None else iter(lambda: readline(PIECE), None):
        if not piece:
            return
        yield piece.encode() if isinstance(piece, str) else piece
