"""How much a drill may write, and for how long: looked at ahead, and again and again while it works."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from agent.backups.drill.contract import DrillError
from kit.units import format_duration, format_size

SPARED = 20
"""One part in so many of the file system stays free for others."""
INTERVAL = 1.0
"""Seconds between two looks."""
_BLOCK = 4096


def blocks(size: int) -> int:
    """Bytes that a file of `size` bytes takes on a disk."""
    return -(-size // _BLOCK) * _BLOCK


def require_room(folder: Path, needed: int, limit: int) -> None:
    """Raises DrillError where `needed` bytes are more than the drill may write, or than there is room for."""
    if needed > limit:
        raise DrillError(f"{format_size(needed)} would be restored, and `space` allows {format_size(limit)}")
    free = room(folder)
    if needed > free:
        raise DrillError(
            f"{format_size(needed)} would be restored into {folder.parent}, and {format_size(max(0, free))} of its "
            f"file system may be used (a {SPARED}th of it stays free)"
        )


def room(folder: Path) -> int:
    """Bytes that may be written there; negative where already less is free than is to be spared."""
    status = os.statvfs(folder)
    return (status.f_bavail - status.f_blocks // SPARED) * status.f_frsize


def used(folder: Path) -> int:
    """Bytes of disk that a tree takes. What vanishes meanwhile takes none."""
    total = 0
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return total


class OutOfBoundsError(KeyboardInterrupt):
    """As a signal ends a command: what is open is closed on the way out, and nobody takes it for a failure of what
    they were about."""


@contextmanager
def bounded(folder: Path, *, limit: int | None, timeout: float) -> Iterator[None]:
    """Raise OutOfBoundsError in the middle of the work once the file system of `folder` has no room to spare, it
    holds more than `limit` bytes (where there is a limit that could not be reckoned with before), or `timeout`
    seconds have passed. Once only: what is open is then closed in peace.

    For the main thread. By a timer's signal, since the work has no moment at which it surely comes by; forked
    processes have no timer.
    """
    deadline = time.monotonic() + timeout

    def look(_number: int, _frame: FrameType | None) -> None:
        if problem := _problem(folder, limit, deadline, timeout):
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise OutOfBoundsError(problem)

    before = signal.signal(signal.SIGALRM, look)
    left, _ = signal.setitimer(signal.ITIMER_REAL, min(INTERVAL, timeout), INTERVAL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, left)  # of whoever has one around this


def _problem(folder: Path, limit: int | None, deadline: float, timeout: float) -> str:
    if time.monotonic() >= deadline:
        return f"it was not done within its time limit of {format_duration(timeout)}"
    if room(folder) < 0:
        return f"less than a {SPARED}th of the file system of {folder.parent} is free"
    if limit is not None and (taken := used(folder)) > limit:
        return f"it took {format_size(taken)} of disk, and `space` allows {format_size(limit)}"
    return ""
