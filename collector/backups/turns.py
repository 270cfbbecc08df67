"""Heavy work (hashing, disks, S3) in a few threads of its own, each host in its turn.

Reports and pages have other threads. A piece of work is small, so a host that sends with a hundred connections gets
no more done than one that sends with one, while both have something to do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

THREADS = 4
AT_ONCE = 16
"""Requests of one host that are under way; restic and ours send five at a time."""
WAITING = 64
"""Further ones that wait for these."""

R = TypeVar("R")


class CrowdedError(Exception):
    """A host has more requests under way than home keeps waiting."""


class Turns:
    """Used on the event loop alone."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="backups")
        self._free = threads
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """Host to its work that waits; whose turn is next comes first."""

    async def run(self, host: str, work: Callable[[], R]) -> R:
        """What `work` returns, in a thread. Once begun it goes on to its end, whoever is cancelled meanwhile."""
        loop = asyncio.get_running_loop()
        if self._free:
            self._free -= 1
        else:
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.setdefault(host, deque()).append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._pass_on()  # it was given at the same moment
                raise
        done = loop.run_in_executor(self._pool, work)
        done.add_done_callback(lambda _done: self._pass_on())
        return await done

    def close(self) -> None:
        """Begin nothing more; what is under way goes on to its end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _pass_on(self) -> None:
        while self._waiting:
            host = next(iter(self._waiting))
            queue = self._waiting.pop(host)
            turn = queue.popleft()
            if queue:
                self._waiting[host] = queue  # behind all others
            if not turn.cancelled():
                turn.set_result(None)
                return
        self._free += 1


class Seats:
    """How many requests of one host are under way. Used on the event loop alone."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._at_once = at_once
        self._most = at_once + waiting
        self._taken: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def taken(self, host: str) -> AsyncIterator[None]:
        """One of them, once there is one. Raises CrowdedError."""
        seats, here = self._taken.get(host, (asyncio.Semaphore(self._at_once), 0))
        if here >= self._most:
            raise CrowdedError
        self._taken[host] = seats, here + 1
        try:
            async with seats:
                yield
        finally:
            seats, here = self._taken.pop(host)
            if here > 1:
                self._taken[host] = seats, here - 1


class OneByOne:
    """Who wants to change the same thing waits for whoever is at it. Used on the event loop alone."""

    def __init__(self) -> None:
        self._held: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def alone(self, thing: Hashable) -> AsyncIterator[None]:
        """Until the end of the block nobody else changes it."""
        lock, here = self._held.get(thing, (asyncio.Lock(), 0))
        self._held[thing] = lock, here + 1
        try:
            async with lock:
                yield
        finally:
            lock, here = self._held.pop(thing)
            if here > 1:
                self._held[thing] = lock, here - 1
