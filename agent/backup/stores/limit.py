"""Bandwidth: at most so many bytes a second up and down, for all threads and for the processes forked later."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Callable

from agent.backup.stores.contract import Pace, Store
from agent.backup.stores.fork_lock import ForkLock
from agent.backup.stores.wrapper import Wrapper

_MOMENT = struct.Struct("=d")
_BURST = 0.1
"""Seconds' worth of bytes that may go at once after a pause."""


class Bucket:
    """A token bucket, kept as the moment at which all that was let through would have gone at the exact rate.

    Its state is in shared memory: what a process forks later draws from the same bucket. A process that is killed
    while it draws gives the lock back.
    """

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`rate` in bytes a second; `clock` must be the same in all processes, as the monotonic one is on Linux."""
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
        with self._threads:
            fcntl.lockf(self._processes, fcntl.LOCK_EX)
            try:
                now = self._clock()
                (moment,) = _MOMENT.unpack(self._state[:])
                moment = max(moment, now - _BURST) + count / self._rate
                self._state[:] = _MOMENT.pack(moment)
            finally:
                fcntl.lockf(self._processes, fcntl.LOCK_UN)
        if moment > now:
            self._sleep(moment - now)


class LimitedStore(Wrapper):
    """Keeps what is sent and received to a rate, piece by piece while it goes.

    All threads of a process share the rate, and so do processes that are forked from it. Other commands on the same
    host have their own. What is counted is the content of files, not the protocol around it.
    """

    def __init__(
        self,
        inner: Store,
        *,
        upload: int | None = None,
        download: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Rates are KiB a second, more than zero; None is no limit."""
        super().__init__(inner)
        innermost = inner
        while isinstance(innermost, Wrapper):
            innermost = innermost.inner
        innermost.pace = Pace(
            before_sending=_taker(upload, clock, sleep), after_receiving=_taker(download, clock, sleep)
        )


def _taker(rate: int | None, clock: Callable[[], float], sleep: Callable[[float], None]) -> Callable[[int], None]:
    return Bucket(rate * 1024.0, clock=clock, sleep=sleep).take if rate else _free


def _free(count: int) -> None:
    """Nothing is limited."""
