"""Tries again what may pass: exponential waits with full jitter, for a bounded time.

Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from backup.stores.contract import (
    FileExistsStoreError,
    FileKind,
    FileMissingError,
    SpooledFile,
    Store,
    StoreError,
)
from backup.stores.wrapper import Wrapper
from kit.units import format_duration

BASE = 0.5
LONGEST = 60.0
"""Seconds between two tries."""
PATIENCE = 900.0
"""Seconds from its first failure after which an operation that goes on failing has failed: what restic gives it."""
FIRST_PATIENCE = 30.0
"""Seconds at most until the first operation has succeeded: before that it is likely that the location is wrong."""

Result = TypeVar("Result")


class RetryingStore(Wrapper):
    """Operations that fail for a reason that may pass are tried again, for `patience` seconds from the first on."""

    def __init__(
        self,
        inner: Store,
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
        report: Callable[[StoreError, float], None] | None = None,
    ) -> None:
        """`report` is told of each failure that is tried again, and in how many seconds."""
        super().__init__(inner)
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        self._report = report
        self._reached = False

    def create(self) -> None:
        self._try(self.inner.create)

    def save(self, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        failed = False

        def save() -> None:
            nonlocal failed
            try:
                self.inner.save(kind, name, content)
            except FileExistsStoreError:
                # The config that is there may be ours, saved by a try whose answer was lost.
                if not (failed and isinstance(content, bytes) and self.inner.load(kind, name) == content):
                    raise
            except StoreError:
                failed = True
                raise

        self._try(save)

    def load(self, kind: FileKind, name: str, offset: int = 0, length: int | None = None) -> bytes:
        return self._try(lambda: self.inner.load(kind, name, offset, length))

    def size(self, kind: FileKind, name: str) -> int:
        return self._try(lambda: self.inner.size(kind, name))

    def list(self, kind: FileKind) -> Iterator[tuple[str, int]]:
        # Collected first: what was yielded cannot be taken back.
        yield from self._try(lambda: [*self.inner.list(kind)])

    def remove(self, kind: FileKind, name: str) -> None:
        failed = False

        def remove() -> None:
            nonlocal failed
            try:
                self.inner.remove(kind, name)
            except FileMissingError:
                if not failed:  # else it was removed by a try whose answer was lost
                    raise
            except StoreError:
                failed = True
                raise

        self._try(remove)

    def spool_folder(self) -> Path | None:
        return self._try(self.inner.spool_folder)

    def _try(self, operation: Callable[[], Result]) -> Result:
        until: float | None = None
        failures, began = 0, 0.0
        while True:
            try:
                result = operation()
            except StoreError as error:
                # Who knows what is there and what is not has been reached.
                self._reached |= isinstance(error, (FileMissingError, FileExistsStoreError))
                if until is None:
                    # Not from the start: what was at work until now, as a long upload, has not failed for so long.
                    began = self._clock()
                    until = began + (self._patience if self._reached else min(self._patience, FIRST_PATIENCE))
                wait = self._uniform(0.0, min(LONGEST, BASE * 2.0 ** min(failures, 16)))
                if error.permanent:
                    raise
                if self._clock() + wait > until:
                    if not failures:
                        raise
                    raise type(error)(f"{error}; gave up after {format_duration(self._clock() - began)}") from error
                failures += 1
                if self._report is not None:
                    self._report(error, wait)
            else:
                self._reached = True
                return result
            self._sleep(wait)
