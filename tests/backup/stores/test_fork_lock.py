"""Locks of stores, in processes that are forked while a thread uses the store."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from backup.forked import Forked
from backup.stores.cache import CachedStore
from backup.stores.contract import FileKind
from backup.stores.fork_lock import ForkLock
from backup.stores.limit import Bucket
from backup.stores.memory import MemoryStore
from backup.stores.per_process import PerProcess


def test_one_thread_at_a_time() -> None:
    """In the child, too."""
    lock = ForkLock()

    def work(_: int) -> list[str]:
        told = []

        def enter() -> None:
            with lock:
                told.append("in")

        other = Thread(target=enter)
        with lock:
            other.start()
            other.join(0.2)
            told.append("out")
        other.join()
        return told

    assert work(0) == ["out", "in"]
    with Forked([0], work, 1) as running:
        assert list(running.outcomes()) == [(0, ["out", "in"])]


def _makers(tmp_path: Path) -> list[tuple[object, Callable[[], object]]]:
    """(what has a lock, an operation that takes it)"""
    memory = MemoryStore()
    memory.create()
    memory.save(FileKind.SNAPSHOT, "0" * 64, b"x")
    cached = CachedStore(memory, tmp_path, "id")
    per_process, bucket = PerProcess(lambda: 1), Bucket(1e9)
    return [
        (memory, lambda: memory.size(FileKind.SNAPSHOT, "0" * 64)),
        (cached, lambda: cached.load(FileKind.SNAPSHOT, "0" * 64)),
        (per_process, per_process.get),
        (bucket, lambda: bucket.take(1)),
    ]


@pytest.mark.parametrize("number", range(4))
def test_what_a_thread_holds_at_a_fork_is_open_in_the_child(tmp_path: Path, number: int) -> None:
    """It would wait for ever for a thread that it does not have."""
    owner, operation = _makers(tmp_path)[number]
    [lock] = [value for value in vars(owner).values() if isinstance(value, ForkLock)]
    held, done = Event(), Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait()

    def work(_: int) -> bool:
        signal.alarm(20)
        operation()
        return True

    thread = Thread(target=hold)
    thread.start()
    try:
        held.wait()
        with Forked([0], work, 1) as running:
            assert list(running.outcomes()) == [(0, True)]
    finally:
        done.set()
        thread.join()
    operation()
