"""Locks: who excludes whom, who is left behind, and what happens to whoever lost one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

import pytest

from backup.errors import LockedError
from backup.format.gotime import Moment
from backup.format.keyfile import Cost
from backup.format.lock import STALE_AFTER, Lock, encode_lock
from backup.repository import locks
from backup.repository.repository import Repository
from backup.stores.contract import FileKind, PermanentStoreError, SpooledFile, Store, StoreError
from backup.stores.local import LocalStore
from backup.stores.memory import MemoryStore
from backup.stores.wrapper import Wrapper
from tests.backup.faulty import Fault, FaultyStore

CHEAP = Cost(2, 1, 1)


@pytest.fixture
def repository() -> Repository:
    return Repository.create(MemoryStore(), b"secret", cost=CHEAP)


@pytest.fixture
def boot_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A clock that the test sets."""
    clock = [1000.0]
    monkeypatch.setattr(locks, "_boot_time", lambda: clock[0])
    yield clock


def names(repository: Repository) -> set[str]:
    return {name for name, _ in repository.names(FileKind.LOCK)}


def put(repository: Repository, *, exclusive: bool, age: int = 0, host: str = "elsewhere", pid: int = 1) -> str:
    lock = Lock(Moment(time.time_ns() - age), exclusive, host, "somebody", pid)
    return repository.save_file(FileKind.LOCK, encode_lock(lock))


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_lock_is_there_while_it_is_held(repository: Repository) -> None:
    """And gone afterwards, also after an error."""
    with pytest.raises(ZeroDivisionError), repository.lock():
        assert len(names(repository)) == 1
        raise ZeroDivisionError
    assert names(repository) == set()


@pytest.mark.parametrize("theirs", [False, True])
@pytest.mark.parametrize("ours", [False, True])
def test_only_shared_locks_get_along(repository: Repository, theirs: bool, ours: bool) -> None:
    """The message says who has it; no lock of ours stays."""
    before = put(repository, exclusive=theirs, age=120 * 10**9)
    if theirs or ours:
        with (
            pytest.raises(LockedError, match=r"by somebody on elsewhere, process 1, 2 min ago"),
            repository.lock(exclusive=ours),
        ):
            pytest.fail("it was locked")
    else:
        with repository.lock(exclusive=ours):
            pass
    assert names(repository) == {before}


def test_of_two_that_lock_at_once_the_second_look_tells(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each writes its lock after the first look of the other."""
    monkeypatch.setattr(locks.Held, "_write", rival_writes_too(locks.Held._write, repository))
    with pytest.raises(LockedError), repository.lock():
        repository.save_file(FileKind.SNAPSHOT, b"{}")
    assert list(repository.names(FileKind.SNAPSHOT)) == []
    assert len(names(repository)) == 1, "only the rival's"


def rival_writes_too(write, repository):  # type: ignore[no-untyped-def]
    def both(held: locks.Held) -> str:
        name = write(held)
        put(repository, exclusive=True)
        return str(name)

    return both


def test_two_that_need_not_wait_never_hold_an_exclusive_lock_at_once(tmp_path: Path) -> None:
    """Processes that take it again and again, in a folder that lists nothing late."""
    repository = Repository.create(LocalStore(tmp_path / "repository"), b"secret", cost=CHEAP)
    assert repository.store.is_coherent()
    inside = tmp_path / "inside"
    start, held = multiprocessing.Barrier(2), multiprocessing.Value("i", 0)

    def rival() -> None:
        for _ in range(40):
            start.wait(60)
            with suppress(LockedError), repository.lock(exclusive=True):
                inside.mkdir()  # fails where somebody is in it
                with held.get_lock():
                    held.value += 1
                inside.rmdir()

    rivals = [multiprocessing.get_context("fork").Process(target=rival) for _ in range(2)]
    for one in rivals:
        one.start()
    for one in rivals:
        one.join(90)
        one.kill()
    assert [one.exitcode for one in rivals] == [0, 0]
    assert held.value, "each kept the other out each time"
    assert names(repository) == set()


class Interrupted(Wrapper):
    """A store whose user presses Ctrl-C once a lock is saved, or when the locks are listed for the second time."""

    def __init__(self, inner: Store, when: str) -> None:
        super().__init__(inner)
        self._when = when
        self._lists = 0
        self._heard = threading.Event()

    def hear(self, number: int, frame: FrameType | None) -> None:
        self._heard.set()
        raise KeyboardInterrupt

    def save(self, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        super().save(kind, name, content)
        if self._when == "saved":
            os.kill(os.getpid(), signal.SIGINT)

    def list(self, kind: FileKind) -> Iterator[tuple[str, int]]:
        self._lists += 1
        if self._when == "looking" and self._lists == 2:
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGINT)
            self._heard.wait(30)
        return super().list(kind)


@pytest.mark.parametrize("when", ["saved", "looking"])
@pytest.mark.parametrize(("exclusive", "wait"), [(True, 0.0), (False, 60.0)])
def test_what_is_ended_before_its_lock_is_sure_leaves_none(
    repository: Repository, when: str, exclusive: bool, wait: float
) -> None:
    """Neither when it was just written nor when it is waited for."""
    store = repository.store = Interrupted(repository.store, when)
    before = signal.signal(signal.SIGINT, store.hear)
    try:
        with pytest.raises(KeyboardInterrupt), repository.lock(exclusive=exclusive, wait=wait):
            pytest.fail("it was not ended")
    finally:
        signal.signal(signal.SIGINT, before)
    repository.store = store.inner
    assert names(repository) == set()


def test_a_lock_whose_answer_was_lost_is_removed(repository: Repository) -> None:
    """It may be there, and then nobody would know whose it is."""
    store = repository.store = FaultyStore(repository.store, Fault("save", 1, "lost answer"))
    with pytest.raises(StoreError), repository.lock():
        pytest.fail("it was locked")
    assert store.met
    assert names(repository) == set()


def test_waiting_for_a_lock_ends_when_it_is_free(repository: Repository) -> None:
    """Tried again after a pause."""
    other = put(repository, exclusive=True)
    pauses = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        repository.remove_file(FileKind.LOCK, other)

    with locks.locked(repository, exclusive=False, wait=60, sleep=sleep, uniform=max):
        assert len(names(repository)) == 1
    assert pauses == [5.0]


def test_waiting_for_a_lock_ends_in_time(repository: Repository, boot_time: list[float]) -> None:
    """With pauses that grow up to a minute, and one last try."""
    put(repository, exclusive=True)
    pauses = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        boot_time[0] += seconds

    with pytest.raises(LockedError), locks.locked(repository, exclusive=False, wait=200, sleep=sleep, uniform=max):
        pytest.fail("it was locked")
    assert pauses == [5, 10, 20, 40, 60, 60, 5]


def test_a_lock_is_refreshed_by_a_new_one(repository: Repository, boot_time: list[float]) -> None:
    """Every five minutes, with the time of then."""
    with repository.lock():
        held = repository._held
        assert held is not None
        held.check()
        before = names(repository)
        boot_time[0] += locks.REFRESH_EVERY - 1
        held._refresh_if_due()
        assert names(repository) == before
        boot_time[0] += 1
        held._refresh_if_due()
        after = names(repository)
        assert len(after) == 1
        assert after != before
    assert names(repository) == set()


def test_a_refresh_whose_answer_was_lost_is_made_again(repository: Repository, boot_time: list[float]) -> None:
    """The old lock is still ours; of the one that nobody spoke of, nothing is left."""
    store = repository.store = FaultyStore(repository.store, Fault("save", 2, "lost answer"))
    with repository.lock():
        held = repository._held
        assert held is not None
        held.check()
        boot_time[0] += locks.REFRESH_EVERY
        for count in (2, 1):
            held._refresh_if_due()
            held.check()
            assert len(names(repository)) == count
    assert store.met
    assert names(repository) == set()


class Keeping(Wrapper):
    """A store that refuses to remove anything for as long as it is told to, as S3 does without the permission."""

    refuses = True

    def remove(self, kind: FileKind, name: str) -> None:
        if self.refuses:
            raise PermanentStoreError("AccessDenied")
        super().remove(kind, name)


def test_locks_that_cannot_be_removed_do_not_pile_up(repository: Repository, boot_time: list[float]) -> None:
    """There is one for each refresh, not one for each look at the clock; they go as soon as they can."""
    store = repository.store = Keeping(repository.store)
    with repository.lock():
        held = repository._held
        assert held is not None
        held.check()
        for count in (2, 3):
            boot_time[0] += locks.REFRESH_EVERY
            for _ in range(10):
                held._refresh_if_due()
            held.check()
            assert len(names(repository)) == count
        store.refuses = False
        boot_time[0] += locks.REFRESH_EVERY
        held._refresh_if_due()
        assert len(names(repository)) == 1
        store.refuses = True
        boot_time[0] += locks.REFRESH_EVERY
        held._refresh_if_due()
        store.refuses = False
    assert names(repository) == set()


def test_a_lock_outlives_the_sleep_of_its_host_if_nobody_took_it(
    repository: Repository, boot_time: list[float]
) -> None:
    """It is refreshed before the next change."""
    with repository.lock():
        boot_time[0] += 10 * 3600
        repository.save_file(FileKind.SNAPSHOT, b"{}")
        assert len(names(repository)) == 1


def test_whoever_lost_its_lock_changes_nothing_more(repository: Repository, boot_time: list[float]) -> None:
    """Somebody judged it stale while the host slept, and may be pruning."""
    with pytest.raises(LockedError, match="removed by somebody else"), repository.lock():
        for name in names(repository):
            repository.remove_file(FileKind.LOCK, name)
        boot_time[0] += 10 * 3600
        repository.save_file(FileKind.SNAPSHOT, b"{}")
    assert list(repository.names(FileKind.SNAPSHOT)) == []


@pytest.mark.parametrize(
    ("age", "here", "alive", "removed"),
    [
        (0, True, True, False),
        (0, True, False, True),
        (0, False, False, False),
        (STALE_AFTER + 10**9, False, False, True),
        (STALE_AFTER + 10**9, True, True, True),
    ],
)
def test_unlock_removes_what_was_left_behind(
    repository: Repository, age: int, here: bool, alive: bool, removed: bool
) -> None:
    """By restic's rule; with `all`, everything, whatever it is."""
    put(
        repository,
        exclusive=True,
        age=age,
        host=socket.gethostname() if here else "elsewhere",
        pid=os.getpid() if alive else dead_process(),
    )
    assert locks.remove_locks(repository, all=False, now=time.time_ns()) == removed
    assert len(names(repository)) == (not removed)
    repository.store.save(FileKind.LOCK, "ab" * 32, b"rubbish")
    assert locks.remove_locks(repository, all=False, now=time.time_ns()) == 0
    assert locks.remove_locks(repository, all=True, now=time.time_ns()) == 1 + (not removed)
    assert names(repository) == set()


def test_a_lock_that_nobody_can_read_keeps_everybody_out(repository: Repository) -> None:
    """Nobody knows what it says; an empty one is an upload that was cut off, and says nothing."""
    repository.store.save(FileKind.LOCK, "00" * 32, b"")
    with repository.lock():
        pass
    repository.store.save(FileKind.LOCK, "ab" * 32, b"rubbish")
    with pytest.raises(LockedError, match="--remove-all"), repository.lock():
        pytest.fail("it was locked")


@pytest.mark.parametrize("terminal", ["none", "there", "gone"])
def test_only_the_end_of_its_terminal_ends_whoever_holds_a_lock(
    repository: Repository, terminal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`restic unlock` sends SIGHUP to ask whether the lock's process is alive, whoever listens for that signal."""
    heard: list[int] = []
    looks = iter({"none": [False] * 2, "there": [True] * 2, "gone": [True, False]}[terminal])
    monkeypatch.setattr(locks, "_has_terminal", lambda: next(looks))
    before = signal.signal(signal.SIGHUP, lambda number, frame: heard.append(number))
    try:
        with repository.lock():
            os.kill(os.getpid(), signal.SIGHUP)
        assert heard == [signal.SIGHUP] * (terminal == "gone")
        os.kill(os.getpid(), signal.SIGHUP)
        assert heard == [signal.SIGHUP] * (1 + (terminal == "gone"))
    finally:
        signal.signal(signal.SIGHUP, before)
