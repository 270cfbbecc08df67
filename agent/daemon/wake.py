"""What wakes the loop from outside: a byte for each signal, and for each call from another thread."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterable

CALL = 0
"""The byte of `call`; no signal has this number."""


class Wake:
    """Readable when a signal came or somebody called. Made and closed in the main thread."""

    def __init__(self, signals: Iterable[signal.Signals]) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        # A full socket is one that the loop is about to read: nothing is lost but repetitions.
        self._previous_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._previous = {number: signal.signal(number, lambda *_: None) for number in signals}

    def fileno(self) -> int:
        """For the selector."""
        return self._reader.fileno()

    def call(self) -> None:
        """Wake the loop, from any thread."""
        with contextlib.suppress(BlockingIOError):
            self._writer.send(bytes([CALL]))

    def read(self) -> set[int]:
        """What came since the last time: numbers of signals, and CALL."""
        try:
            return set(self._reader.recv(4096))
        except BlockingIOError:
            return set()

    def close(self) -> None:
        """Let the signals do what they did before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_fd)
        self._reader.close()
        self._writer.close()
