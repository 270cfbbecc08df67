"""Something that a process makes for itself: a fork must not go on using its parent's connections."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

from backup.stores.fork_lock import ForkLock

Thing = TypeVar("Thing")


class PerProcess(Generic[Thing]):
    """Made on first use, and anew in a process that was forked since."""

    def __init__(self, make: Callable[[], Thing]) -> None:
        self._make = make
        self._thing: Thing | None = None
        self._process = os.getpid()
        self._lock = ForkLock()
        self._inherited: list[Thing | None] = []

    def get(self) -> Thing:
        """Raises what making it raises; then it is made the next time."""
        with self._lock:
            if self._process != os.getpid():
                # Kept, never used: to let go of it might say good-bye on a connection that is the parent's.
                self._inherited.append(self._thing)
                self._thing = None
                self._process = os.getpid()
            if self._thing is None:
                self._thing = self._make()
            return self._thing

    def peek(self) -> Thing | None:
        """What this process has made, if anything."""
        with self._lock:
            return self._thing if self._process == os.getpid() else None

    def take(self) -> Thing | None:
        """What this process made, if anything; it is made anew when it is asked for again."""
        with self._lock:
            thing = self._thing if self._process == os.getpid() else None
            if thing is not None:
                self._thing = None
            return thing
