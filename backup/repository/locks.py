"""Locking a repository as restic does, so that both respect each other (doc/design.rst, "Locks").

A lock is a file. Whoever wants one looks for locks that exclude it, writes its own, waits a little, and looks again:
of two that wrote at the same time, at least one sees the other. The wait is for places that list late what was saved;
where a listing has all that was saved before it began, the lock that the second look misses was written after this
one, and whoever wrote it sees this one by a second look of their own, however soon this look was. The second look
happens while the caller reads; it is waited for before the first change (`Held.check`).

A lock is refreshed every five minutes. One that could not be refreshed for so long that others may soon judge it
stale is lost, and the work ends: `check` raises before every change.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Protocol

from backup.errors import DamagedError, LockedError, RepositoryError
from backup.format.gotime import Moment
from backup.format.lock import STALE_AFTER, Lock, encode_lock, is_stale, parse_lock
from backup.stores.contract import FileKind, FileMissingError, PermanentStoreError, StoreError

SETTLE = 0.2
"""Seconds between writing a lock and looking once more, where a listing may be late."""
REFRESH_EVERY = 300.0
"""Seconds."""
LOST_AFTER = STALE_AFTER / 1e9 - 1.5 * REFRESH_EVERY
"""Seconds without a refresh after which a lock counts as lost, some time before others call it stale."""
_POLL = 5.0
"""Seconds between looks at the clock: a wait does not count the time in which the host sleeps."""
_RETRY_FIRST, _RETRY_MOST = 5.0, 60.0
_TAKEN = "the lock on the repository was removed by somebody else; nothing more is changed"


class Files(Protocol):
    """What locking needs of a repository."""

    def load_file(self, kind: FileKind, name: str) -> bytes: ...
    def save_file(self, kind: FileKind, data: bytes, *, on_name: Callable[[str], None]) -> str: ...
    def names(self, kind: FileKind) -> Iterator[tuple[str, int]]: ...
    def remove_file(self, kind: FileKind, name: str) -> None: ...


class Held:
    """A lock that is ours once it is taken, and the thread that keeps it.

    Give it back by `release`, however far `take` came.
    """

    def __init__(
        self, files: Files, *, exclusive: bool, coherent: bool = False, now: Callable[[], int] = time.time_ns
    ) -> None:
        self._files = files
        self._settle = 0.0 if coherent else SETTLE
        self.exclusive = exclusive
        self._now = now
        self._failure: RepositoryError | None = None
        self._refreshing = threading.Lock()
        self._ended = threading.Event()
        self._settled = threading.Event()
        self._owner = os.getpid()
        self._refreshed = 0.0
        self._name = ""
        self._written: list[str] = []
        """All locks of ours that may be there: `_name`, and those that could not be removed."""
        self._thread = threading.Thread(target=self._keep, name="lock", daemon=True)

    def take(self) -> None:
        """Write the lock. Raises LockedError where another excludes it."""
        self._look()
        self._refreshed = _boot_time()
        self._name = self._write()
        self._thread.start()

    def check(self) -> None:
        """Wait until the lock is sure. Raises LockedError if it is not, or no longer."""
        if os.getpid() != self._owner:
            return  # a forked worker: its parent answers for the lock
        self._settled.wait()
        if self._failure is not None:
            raise self._failure
        if _boot_time() - self._refreshed > LOST_AFTER:  # the host slept, or the store was away
            self._refresh_if_due()
        if self._failure is not None:
            raise self._failure
        if _boot_time() - self._refreshed > LOST_AFTER:
            raise LockedError(
                "the lock on the repository could not be refreshed in time, and others may have taken it for left"
                " behind; nothing more is changed"
            )

    def release(self) -> None:
        """Take the lock away. What fails is left to the next `unlock`."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._remove(self._written)

    def _look(self) -> None:
        for name, lock in read_locks(self._files):
            if name not in self._written and lock.excludes(exclusive=self.exclusive):
                raise LockedError(describe(lock, self._now()))

    def _write(self) -> str:
        moment = Moment(self._now(), time.localtime().tm_gmtoff)
        user, uid, gid = who()
        lock = Lock(moment, self.exclusive, socket.gethostname(), user, os.getpid(), uid, gid)
        before = len(self._written)
        try:
            # Its name is kept before it is there: whatever ends this in the middle leaves nothing unknown.
            return self._files.save_file(FileKind.LOCK, encode_lock(lock), on_name=self._written.append)
        except PermanentStoreError:
            del self._written[before:]
            raise

    def _remove(self, names: list[str]) -> None:
        """As many as can be removed: some places let nobody remove anything."""
        for name in list(names):
            try:
                self._files.remove_file(FileKind.LOCK, name)
            except FileMissingError:
                pass
            except StoreError as error:
                if error.permanent:
                    continue
                return  # the others would be waited for as long
            self._written.remove(name)

    def _keep(self) -> None:
        try:
            self._ended.wait(self._settle)
            self._look()
        except RepositoryError as error:
            self._failure = error
        finally:
            self._settled.set()
        while self._failure is None and not self._ended.wait(_POLL):
            self._refresh_if_due()

    def _refresh_if_due(self) -> None:
        with self._refreshing, contextlib.suppress(StoreError):
            started = _boot_time()
            if started - self._refreshed < REFRESH_EVERY:
                return
            # Where the old one is gone, somebody judged it stale and may have begun what it should have kept out.
            # So it must be there before the new one is written, and still after it.
            old = self._name
            if not self._is_there(old):
                self._failure = LockedError(_TAKEN)
                return
            self._name = self._write()
            try:
                self._files.remove_file(FileKind.LOCK, old)
            except FileMissingError:
                self._failure = LockedError(_TAKEN)
                return
            except StoreError:
                pass  # it was there a moment ago, and is tried again with the next one
            else:
                self._written.remove(old)
            self._refreshed = started
            self._remove([name for name in self._written if name not in (old, self._name)])

    def _is_there(self, name: str) -> bool:
        return any(found == name for found, _ in self._files.names(FileKind.LOCK))


@contextlib.contextmanager
def locked(
    files: Files,
    *,
    exclusive: bool,
    wait: float = 0.0,
    coherent: bool = False,
    now: Callable[[], int] = time.time_ns,
    sleep: Callable[[float], None] = time.sleep,
    uniform: Callable[[float, float], float] = random.uniform,
) -> Iterator[Held]:
    """Hold a lock; where another excludes it, try again for `wait` seconds. Raises LockedError.

    `coherent` says that a listing is never late, so that the second look need not be.
    """
    with _deaf_to_hangups():
        yield from _locked(
            files, exclusive=exclusive, wait=wait, coherent=coherent, now=now, sleep=sleep, uniform=uniform
        )


def _locked(
    files: Files,
    *,
    exclusive: bool,
    wait: float,
    coherent: bool,
    now: Callable[[], int],
    sleep: Callable[[float], None],
    uniform: Callable[[float, float], float],
) -> Iterator[Held]:
    deadline = _boot_time() + wait
    pause = min(_RETRY_FIRST, wait)
    while True:
        held = Held(files, exclusive=exclusive, coherent=coherent, now=now)
        try:
            try:
                held.take()
                if exclusive or wait:
                    # An exclusive lock is sure before its work begins: what it reads must not change under it. So is
                    # any lock whose owner would rather wait than fail: once the work has begun, it cannot choose.
                    held.check()
            except LockedError:
                left = deadline - _boot_time()
                if left <= 0:
                    raise
            else:
                yield held
                return
        finally:
            held.release()
        # Two that began at the same moment, as by a timetable, must not meet at each try.
        sleep(min(pause * uniform(0.7, 1.0), left))
        pause = min(pause * 2, _RETRY_MOST)


@contextlib.contextmanager
def _deaf_to_hangups() -> Iterator[None]:
    """restic asks whether a lock's process is alive by sending it SIGHUP, which must not end it.

    The end of the terminal that it runs in may: then whoever listens for the signal is told.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGHUP)
    had_terminal = _has_terminal()

    def hear(number: int, frame: FrameType | None) -> None:
        if callable(before) and had_terminal and not _has_terminal():
            before(number, frame)

    signal.signal(signal.SIGHUP, hear)  # unlike SIG_IGN, not inherited by programs
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def read_locks(files: Files) -> Iterator[tuple[str, Lock]]:
    """(name, lock) of all that there are; one that disappears meanwhile is left out, and so is an empty file.

    Raises LockedError for one that cannot be read, since nobody knows what it says; `unlock --remove-all` ends that.
    """
    for name, size in files.names(FileKind.LOCK):
        if size == 0:
            continue  # an upload that never got further, on a store that is not atomic
        try:
            yield name, parse_lock(files.load_file(FileKind.LOCK, name))
        except FileMissingError:
            continue
        except DamagedError as error:
            raise LockedError(
                f"lock {name[:8]} cannot be read ({error}); when surely nobody works on the repository,"
                " `hostward backup unlock --remove-all` removes it"
            ) from None


def remove_locks(
    files: Files, *, all: bool, now: int, on_removed: Callable[[str, Lock | None], object] | None = None
) -> int:
    """Remove locks that were left behind, or every one. Returns how many.

    Each goes to `on_removed` with its name; None where it cannot be read.
    """
    removed = 0
    hostname = socket.gethostname()
    for name, _ in list(files.names(FileKind.LOCK)):
        lock = None
        try:
            try:
                lock = parse_lock(files.load_file(FileKind.LOCK, name))
            except DamagedError:
                if not all:
                    continue
            if not (all or (lock and is_stale(lock, now=now, hostname=hostname, is_alive=_is_alive))):
                continue
            files.remove_file(FileKind.LOCK, name)
        except FileMissingError:
            continue
        removed += 1
        if on_removed is not None:
            on_removed(name, lock)
    return removed


def describe(lock: Lock, now: int) -> str:
    """That it is in the way, and what to do, for people."""
    kind = "exclusively " if lock.exclusive else ""
    if lock.hostname == socket.gethostname() and not _is_alive(lock.pid):
        remedy = "that process is gone: `hostward backup unlock` removes its lock"
    else:
        remedy = "`hostward backup unlock` removes locks of processes that are gone"
    return f"the repository is locked {kind}by {owner(lock, now)}; {remedy}"


def owner(lock: Lock, now: int) -> str:
    """Who holds it, and since when."""
    minutes = max(now - lock.time.nanoseconds, 0) // 60_000_000_000
    return f"{lock.username} on {lock.hostname}, process {lock.pid}, {minutes} min ago"


def who() -> tuple[str, int, int]:
    """(name, uid, gid) of whoever runs this; the name is the number where it has none."""
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name, uid, os.getgid()
    except KeyError:
        return str(uid), uid, os.getgid()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _boot_time() -> float:
    # Counts while the host sleeps, and nobody can set it.
    return time.clock_gettime(time.CLOCK_BOOTTIME)
