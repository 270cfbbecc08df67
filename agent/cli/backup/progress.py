"""Progress while a command works: a line on a terminal, status objects for --json, nothing otherwise."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kit.progress import Speed, Status, progress_line
from kit.terminal import clean

INTERVAL = 0.1
"""Seconds between two updates."""
_CLEAR = b"\r\x1b[K"


class Display:
    """Draws from a thread of its own, since the work has no moment at which it surely comes by.

    The thread writes to descriptors and takes no lock of Python's files: the work may fork at any time.
    """

    def __init__(
        self, status: Callable[[], Status] | None, as_json: Callable[[float], dict[str, Any]] | None
    ) -> None:
        """Draw `status` on standard error, or print what `as_json` makes of the seconds that have passed."""
        self._status = status
        self._as_json = as_json
        self._began = time.monotonic()
        self._speed = Speed(self._began)
        self._drawn = False
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._owner = os.getpid()
        self.shown = False
        """Whether anybody sees it."""

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def start(self) -> None:
        self.shown = True
        self._thread.start()

    def stop(self) -> None:
        """Take the line away."""
        self._ended.set()
        self._thread.join()
        self.clear()

    def clear(self) -> None:
        """Take the line away, so that another can be printed; it comes back by itself."""
        if self._drawn and os.getpid() == self._owner:
            with self._writing:
                self._drawn = False
                _write(2, _CLEAR)

    def print(self, text: str) -> None:
        """A line on standard output that no status cuts in two."""
        with self._writing:
            print(text, flush=True)

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL):
            with self._writing:
                if self._as_json is not None:
                    _write(1, compact(self._as_json(self.elapsed)).encode(errors="replace") + b"\n")
                elif self._status is not None:
                    status = self._status()
                    self._speed.update(status.done, time.monotonic())
                    line = clean(progress_line(status, self._speed, shutil.get_terminal_size().columns - 1))
                    _write(2, _CLEAR + line.encode(errors="replace"))
                    self._drawn = True


class Phase:
    """How far work with several parts is; `data` counts bytes, the others things."""

    def __init__(self) -> None:
        self._now = ("", 0, 0)

    def update(self, name: str, done: int, total: int) -> None:
        """Take down what the work tells; a total of 0 is one that nobody knows."""
        self._now = (name, done, total)

    def status(self) -> Status:
        """What to draw."""
        name, done, total = self._now
        return Status(done, total or None, name, is_bytes=name == "data")


_current: Display | None = None


@contextmanager
def progress(
    options: argparse.Namespace,
    status: Callable[[], Status],
    as_json: Callable[[float], dict[str, Any]] | None = None,
) -> Iterator[Display]:
    """Show how far the work in this context is. Where nothing is to be shown, this only knows the time.

    `status` and `as_json` are called from another thread, and must not do more than read.
    """
    global _current
    drawn = status if not options.json and sys.stderr.isatty() else None
    display = Display(drawn, as_json if options.json else None)
    if options.quiet or not (drawn or (options.json and as_json)):
        yield display
        return
    sys.stdout.flush()
    display.start()
    _current = display
    try:
        yield display
    finally:
        _current = None
        display.stop()


def make_way() -> None:
    """To be called before anything is printed: takes the line away."""
    if _current is not None:
        _current.clear()


def print_line(text: str) -> None:
    """A line on standard output, while progress is shown or not."""
    if _current is None:
        print(text)
    else:
        _current.clear()
        _current.print(text)


def compact(value: object) -> str:
    """JSON in one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _write(descriptor: int, data: bytes) -> None:
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:  # nobody is there to see it
        pass
