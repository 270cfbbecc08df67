"""A lock between threads that a fork leaves open in the child."""

from __future__ import annotations

import os
import threading
from types import TracebackType
from weakref import WeakSet


class ForkLock:
    """As threading.Lock, in a `with`.

    A thread may hold it while another one forks, as the one that refreshes the repository's lock does while workers
    are started. In the child that thread does not exist, and a lock of threading's would stay closed for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _all.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Open it, whoever had it."""
        self._lock = threading.Lock()


_all: WeakSet[ForkLock] = WeakSet()


def _renew_all() -> None:
    for lock in list(_all):
        lock.renew()


os.register_at_fork(after_in_child=_renew_all)
