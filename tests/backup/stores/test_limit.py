"""Bandwidth: how long so many bytes take, for threads and for processes."""

from __future__ import annotations

import hashlib
import os
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.stores.contract import PIECE, FileKind
from backup.stores.limit import Bucket, LimitedStore
from backup.stores.memory import MemoryStore
from tests.backup.stores.grounds import PlacedGround

CONTENT = bytes(300 * 1024)
NAME = hashlib.sha256(CONTENT).hexdigest()


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(st.lists(st.integers(1, PIECE), min_size=1, max_size=50), st.floats(1024, 1e9))
def test_a_rate_is_kept(pieces: list[int], rate: float) -> None:
    """However it is cut into pieces: never faster but for a tenth of a second's worth at first, and hardly slower."""
    clock = Clock()
    bucket = Bucket(rate, clock=clock, sleep=clock.sleep)
    for piece in pieces:
        bucket.take(piece)
    assert clock.now - 100.0 == pytest.approx(sum(pieces) / rate, rel=1e-6, abs=1e-6)


def test_a_pause_is_not_saved_up() -> None:
    """After an hour of nothing no more than a tenth of a second's worth goes at once."""
    clock = Clock()
    bucket = Bucket(1000, clock=clock, sleep=clock.sleep)
    clock.now += 3600
    start = clock.now
    bucket.take(1000)
    assert clock.now - start == pytest.approx(0.9)


def test_a_rate_that_changes_holds_for_what_is_under_way() -> None:
    """What waits is let through when the limit goes, and what follows keeps to the new one."""
    clock = Clock()
    bucket = Bucket(lambda: 1000.0 if clock.now < 110 else None, clock=clock, sleep=clock.sleep)
    bucket.take(1000)
    assert clock.now - 100 == pytest.approx(0.9, abs=0.2)
    bucket.take(1_000_000)
    assert 110 <= clock.now < 120
    bucket.take(1_000_000)
    assert clock.now < 120
    slower = Bucket(lambda: 1000.0 if clock.now < 200 else 100.0, clock=clock, sleep=clock.sleep)
    clock.now = 195.0
    slower.take(20_000)
    assert 200 <= clock.now < 210
    began = clock.now
    slower.take(1000)
    assert clock.now - began == pytest.approx(10, abs=0.2)


@pytest.mark.parametrize(
    ("upload", "download", "seconds"), [(100, None, 3.0), (None, 100, 3.0), (100, 50, 9.0), (None, None, 0)]
)
def test_both_ways_have_their_own_rate(upload: int | None, download: int | None, seconds: float) -> None:
    """In KiB a second; what is not limited takes no time."""
    clock = Clock()
    store = LimitedStore(MemoryStore(), upload=upload, download=download, clock=clock, sleep=clock.sleep)
    store.save(FileKind.PACK, NAME, CONTENT)
    assert store.load(FileKind.PACK, NAME) == CONTENT
    assert clock.now - 100.0 == pytest.approx(seconds, abs=0.2)


def test_every_store_goes_piece_by_piece(place: PlacedGround) -> None:
    """A pack that goes at once and a wait after it would fill the line all the same."""
    waits: list[float] = []
    store = LimitedStore(place.open(), upload=1, download=1, clock=lambda: 0.0, sleep=waits.append)
    store.create()
    del waits[:]
    for operation in (lambda: store.save(FileKind.PACK, NAME, CONTENT), lambda: store.load(FileKind.PACK, NAME)):
        operation()
        # On a clock that stands still each wait is as long as all up to it; so the last says how much went, and
        # the steps between them how much at once.
        steps = [after - before for before, after in zip([0.0, *waits], waits, strict=False)]
        assert waits[-1] == pytest.approx(300.0)
        assert max(steps) <= PIECE / 1024
        del waits[:]
    store.close()


def test_threads_share_a_rate() -> None:
    """Four take as long as one would for all."""
    slept: list[float] = []
    bucket = Bucket(1000, clock=lambda: 0.0, sleep=slept.append)
    threads = [threading.Thread(target=lambda: [bucket.take(10) for _ in range(100)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(slept) == pytest.approx(4.0)


def test_processes_share_a_rate() -> None:
    """What was forked draws from the same bucket."""
    slept: list[float] = []
    bucket = Bucket(1000, clock=lambda: 0.0, sleep=slept.append)
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            for _ in range(100):
                bucket.take(10)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    bucket.take(10)
    assert slept == [pytest.approx(3.01)]


def test_a_process_that_is_killed_while_it_draws_blocks_nobody() -> None:
    """Its lock is the kernel's to give back."""
    reader, writer = os.pipe()

    def clock() -> float:
        if os.getpid() != parent:
            os.write(writer, b"x")
            time.sleep(60)
        return 0.0

    parent = os.getpid()
    bucket = Bucket(1000, clock=clock, sleep=lambda seconds: None)
    child = os.fork()
    if child == 0:
        bucket.take(1)
        os._exit(0)
    os.read(reader, 1)
    os.kill(child, 9)
    os.waitpid(child, 0)
    bucket.take(1)
    os.close(reader)
    os.close(writer)
