"""Bandwidth: at most so many bytes a second up and down, for all threads and for the processes forked later."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from backup.stores.contract import Pace, Store
from backup.stores.fork_lock import ForkLock
from backup.stores.wrapper import Wrapper

_MOMENT = struct.Struct("=d")
_BURST = 0.1
"""Seconds' worth of bytes that may go at once after a pause."""
_LOOK = 5.0
"""Seconds between looks at whether a rate that changes has changed, while something waits."""

Changing = Callable[[], float | None]
"""A rate that changes: what it is now, in KiB a second; None for no limit."""


class Bucket:
    """A token bucket, kept as the moment at which all that was let through would have gone at the exact rate.

    Its state is in shared memory: what a process forks later draws from the same bucket. A process that is killed
    while it draws gives the lock back.
    """

    def __init__(
        self,
        rate: float | Callable[[], float | None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`rate` in bytes a second, or a function that says what it is now, None for no limit. `clock` must be the
        same in all processes, as the monotonic one is on Linux.
        """
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._state = mmap.mmap(-1, _MOMENT.size)
        self._state[:] = _MOMENT.pack(clock())
        self._threads = ForkLock()
        self._processes = os.memfd_create("hostward-bucket", os.MFD_CLOEXEC)

    def __del__(self) -> None:
        os.close(self._processes)

    def take(self, count: int) -> None:
        """Wait until `count` bytes may go."""
        rate = self._rate() if callable(self._rate) else self._rate
        if rate is None:
            return
        with self._held():
            now = self._clock()
            (moment,) = _MOMENT.unpack(self._state[:])
            moment = max(moment, now - _BURST) + count / rate
            self._state[:] = _MOMENT.pack(moment)
        if moment > now:
            self._wait(moment - now, rate)

    def _wait(self, seconds: float, rate: float) -> None:
        if not callable(self._rate):
            self._sleep(seconds)
            return
        while seconds > 0:
            step = min(seconds, _LOOK)
            self._sleep(step)
            seconds -= step
            if seconds > 0 and self._rate() != rate:
                with self._held():  # what waits goes now; what follows, at the new rate
                    self._state[:] = _MOMENT.pack(self._clock())
                return

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._threads:
            fcntl.lockf(self._processes, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._processes, fcntl.LOCK_UN)


class LimitedStore(Wrapper):
    """Keeps what is sent and received to a rate, piece by piece while it goes.

    All threads of a process share the rate, and so do processes that are forked from it. Other commands on the same
    host have their own. What is counted is the content of files, not the protocol around it.
    """

    def __init__(
        self,
        inner: Store,
        *,
        upload: int | Changing | None = None,
        download: int | Changing | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Rates are KiB a second, more than zero; None is no limit. One that changes is asked for again and again."""
        super().__init__(inner)
        innermost = inner
        while isinstance(innermost, Wrapper):
            innermost = innermost.inner
        innermost.pace = Pace(
            before_sending=_taker(upload, clock, sleep), after_receiving=_taker(download, clock, sleep)
        )


def _taker(
    rate: int | Changing | None, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Callable[[int], None]:
    if rate is None:
        return _free
    if callable(rate):
        return Bucket(partial(_bytes, rate), clock=clock, sleep=sleep).take
    return Bucket(rate * 1024.0, clock=clock, sleep=sleep).take


def _bytes(rate: Changing) -> float | None:
    kibibytes = rate()
    return None if kibibytes is None else kibibytes * 1024.0


def _free(count: int) -> None:
    """Nothing is limited."""
