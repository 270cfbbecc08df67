"""What is tried again, how long, and what is not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from backup.stores.contract import (
    FileExistsStoreError,
    FileKind,
    FileMissingError,
    PermanentStoreError,
    StoreError,
)
from backup.stores.memory import MemoryStore
from backup.stores.retry import BASE, FIRST_PATIENCE, LONGEST, RetryingStore
from tests.backup.faulty import Fault, FaultyStore, Killed

NAME = hashlib.sha256(b"x").hexdigest()


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Failing(MemoryStore):
    """Fails so many times, then never again."""

    def __init__(self, failures: float, error: type[StoreError] = StoreError) -> None:
        super().__init__()
        self.left = failures
        self.error = error
        self.tries = 0

    def size(self, kind: FileKind, name: str) -> int:
        self.tries += 1
        if self.left > 0:
            self.left -= 1
            raise self.error("failed")
        return 7


def retrying(inner: MemoryStore | FaultyStore, clock: Clock, **options: float) -> RetryingStore:
    return RetryingStore(inner, clock=clock, sleep=clock.sleep, uniform=lambda low, high: high, **options)


def test_waits_grow_up_to_the_longest() -> None:
    """Each twice the one before; jitter takes from zero to the whole."""
    clock, inner = Clock(), Failing(9)
    store = retrying(inner, clock)
    store._reached = True
    assert store.size(FileKind.KEY, NAME) == 7
    assert clock.slept == [min(LONGEST, BASE * 2**n) for n in range(9)]


def test_jitter_is_full() -> None:
    """Any time between zero and the whole: hosts that failed together do not come back together."""
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return 0.0

    clock = Clock()
    store = RetryingStore(Failing(3), clock=clock, sleep=clock.sleep, uniform=uniform)
    store.size(FileKind.KEY, NAME)
    assert asked == [(0.0, BASE), (0.0, BASE * 2), (0.0, BASE * 4)]
    assert clock.now == 0.0


def test_the_whole_time_is_bounded() -> None:
    """What goes on failing has failed, with its own words, before the time is over."""
    clock, inner = Clock(), Failing(float("inf"))
    store = retrying(inner, clock, patience=100)
    store._reached = True
    with pytest.raises(StoreError, match=r"failed.*; gave up after \d+"):
        store.size(FileKind.KEY, NAME)
    assert 30 < clock.now <= 100
    assert inner.tries == len(clock.slept) + 1


def test_time_that_passes_before_the_first_failure_is_not_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an upload of more than a quarter of an hour that is cut would not be tried again."""
    clock, inner = Clock(), Failing(2)
    tried = inner.size

    def slowly(kind: FileKind, name: str) -> int:
        clock.now += 1000
        return tried(kind, name)

    monkeypatch.setattr(inner, "size", slowly)
    store = retrying(inner, clock, patience=1100)
    store._reached = True
    assert store.size(FileKind.KEY, NAME) == 7
    assert inner.tries == 3


def test_a_place_that_was_never_reached_is_given_up_soon() -> None:
    """A mistyped port should not take a quarter of an hour to be noticed."""
    clock = Clock()
    store = retrying(Failing(float("inf")), clock)
    with pytest.raises(StoreError):
        store.size(FileKind.KEY, NAME)
    assert clock.now <= FIRST_PATIENCE


@pytest.mark.parametrize("error", [PermanentStoreError, FileMissingError, FileExistsStoreError])
def test_what_is_permanent_is_not_tried_again(error: type[StoreError]) -> None:
    """Not once."""
    clock, inner = Clock(), Failing(1, error)
    with pytest.raises(error):
        retrying(inner, clock).size(FileKind.KEY, NAME)
    assert (inner.tries, clock.slept) == (1, [])


def test_each_failure_is_reported() -> None:
    """With the wait that follows, so that a person sees why nothing moves."""
    clock, told = Clock(), list[tuple[str, float]]()
    store = RetryingStore(
        Failing(2), clock=clock, sleep=clock.sleep, uniform=lambda low, high: high,
        report=lambda error, wait: told.append((str(error), wait)),
    )  # fmt: skip
    store.size(FileKind.KEY, NAME)
    assert told == [("failed", 0.5), ("failed", 1.0)]


OPERATIONS: dict[str, Callable[[RetryingStore], object]] = {
    "create": lambda store: store.create(),
    "save": lambda store: store.save(FileKind.KEY, NAME, b"x"),
    "load": lambda store: store.load(FileKind.KEY, NAME),
    "size": lambda store: store.size(FileKind.KEY, NAME),
    "list": lambda store: list(store.list(FileKind.KEY)),
    "remove": lambda store: store.remove(FileKind.KEY, NAME),
}


@pytest.mark.parametrize("what", ["failing once", "lost answer"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_failure_of_any_operation_is_hidden(operation: str, what: str) -> None:
    """Also of one that was done and whose answer was lost: what is removed already counts as removed."""
    memory = MemoryStore()
    memory.save(FileKind.KEY, NAME, b"x")
    inner = FaultyStore(memory, Fault(operation, 1, what))
    OPERATIONS[operation](retrying(inner, Clock()))
    assert inner.met
    assert inner.calls.count((operation, None if operation == "create" else FileKind.KEY)) == 2


def test_a_config_whose_answer_was_lost_is_ours() -> None:
    """The second try finds it there, with our content; another's content is another's repository."""
    inner = FaultyStore(MemoryStore(), Fault("save", 1, "lost answer"))
    retrying(inner, Clock()).save(FileKind.CONFIG, "config", b"ours")
    other = MemoryStore()
    other.save(FileKind.CONFIG, "config", b"theirs")
    with pytest.raises(FileExistsStoreError):
        retrying(FaultyStore(other, Fault("save", 1, "failing once")), Clock()).save(
            FileKind.CONFIG, "config", b"ours"
        )


def test_a_missing_file_is_not_taken_for_removed() -> None:
    """Where no try before had failed."""
    with pytest.raises(FileMissingError):
        retrying(MemoryStore(), Clock()).remove(FileKind.KEY, NAME)


def test_a_kill_is_not_tried_again() -> None:
    """Only what a store raises is."""
    store = retrying(FaultyStore(MemoryStore(), Fault("list", 1, "killed before")), Clock())
    with pytest.raises(Killed):
        list(store.list(FileKind.KEY))
