"""What is kept of runs, of backup jobs as of drills: a file for each in the state folder, whoever started it.

    STATE/backups/shop/3f…a1.begun     a run that goes on: whoever does it holds a lock (flock) on the file
    STATE/backups/shop/0000000017.json the 17th run that ended

A kill at any point leaves a `.begun` that nobody holds: a run that was lost, which whoever comes next puts on record.
Room for the record is reserved in that file. Where a full disk takes no other, a run that ends leaves its record in
a second line there, and whoever comes next finds how it ended.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

import msgspec

from agent.backups.places import folder, known_file, new_file
from wire.report import BackupRun, Drill

R = TypeVar("R", bound=BackupRun | Drill)

KILLED = "it was killed before it ended, or the host went down"
"""What is said of a run that was lost."""
TOLD = "told:"
"""Beginning of the keys under which the agent's state has which of them home was told of."""
KEPT = 100
"""Runs of each job that are kept."""
RESERVED = 1 << 16
"""Bytes of disk for the record of a run that goes on."""
_MAX_SIZE = 1 << 20
_NUMBERED = re.compile(r"([0-9]{10})\.json")
_BEGUN = ".begun"
_NEW = ".tmp"
_PLAN = ".plan.json"
_OLD = 3600.0
"""Seconds after which nobody is still writing a file of a few hundred bytes."""

By = Literal["timetable", "hand"]


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that goes on, or did when it was killed."""

    name: str
    """Of the job or drill."""
    started: float
    by: By
    repository: str = ""
    """As people see it."""
    source: str = ""


class Record(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """A run that ended."""

    id: str
    by: By
    run: R


@dataclass(frozen=True, slots=True)
class Numbered(Generic[R]):
    """A record, and how many there were of its job with it."""

    number: int
    record: Record[R]


class Book(Generic[R]):
    """The records of one kind. Where the state folder cannot be used, methods raise OSError."""

    def __init__(self, state: Path, kind: Literal["backups", "drills"], run: type[R]) -> None:
        self._state = state
        self._kind = kind
        # A class that is known only now; msgspec makes the decoder of it, which no checker of types can follow.
        self._decoder = msgspec.json.Decoder(Record[run])  # type: ignore[valid-type]
        self._begun = msgspec.json.Decoder(Begun)

    def names(self) -> list[str]:
        """Those that have any record, sorted; none where there is no folder yet."""
        with suppress(FileNotFoundError), self._folder() as here:
            return sorted(name for name in os.listdir(here) if not name.startswith("."))  # noqa: PTH208 - a descriptor
        return []

    def runs(self, name: str, *, after: int = 0, last: int = KEPT) -> list[Numbered[R]]:
        """The runs that ended, the oldest first: those whose number is above `after`, and of them the `last`.

        A file that is damaged is none.
        """
        with suppress(FileNotFoundError), self._folder(name) as here:
            return list(self._runs(here, after, last))
        return []

    def going_on(self, name: str) -> list[Begun]:
        """Those that go on, the first that began first."""
        found = []
        with suppress(FileNotFoundError), self._folder(name) as here:
            for file in _ending_in(here, _BEGUN):
                with _held(here, file) as (descriptor, is_mine):
                    if descriptor is not None and not is_mine and (begun := self._read_begun(descriptor)) is not None:
                        found.append(begun)
        return sorted(found, key=lambda begun: begun.started)

    def settle(self, name: str, lost: Callable[[Begun, Sequence[R]], R | None]) -> list[R]:
        """Put on record what was lost: `lost` makes it of how it began and the runs before; None forgets it. And what
        could not be put on record when it ended. What there is still no room for stays as it is.

        Returns those that were lost.
        """
        settled = []
        with suppress(FileNotFoundError), self._folder(name) as here:
            _sweep(here)
            for file in _ending_in(here, _BEGUN):
                with _held(here, file) as (descriptor, is_mine):
                    if descriptor is None or not is_mine:
                        continue
                    with suppress(OSError):
                        settled += self._settle(here, file, descriptor, lost)
        return settled

    def _settle(
        self, here: int, file: str, descriptor: int, lost: Callable[[Begun, Sequence[R]], R | None]
    ) -> list[R]:
        begun, left = self._read_begun(descriptor), self._read_left(descriptor)
        id = file.removesuffix(_BEGUN)
        runs = list(self._runs(here))
        settled = []
        if begun is not None and all(one.record.id != id for one in runs):
            if left is not None:
                self._add(here, left)
            elif (run := lost(begun, [one.record.run for one in runs])) is not None:
                self._add(here, Record(id=id, by=begun.by, run=run))
                settled.append(run)
        os.unlink(file, dir_fd=here)
        return settled

    def begin(self, begun: Begun) -> Recording[R]:
        """Put on record that a run begins. It must be ended by `Recording.end`, or it is lost. Raises OSError."""
        id = secrets.token_hex(8)
        with self._folder(begun.name, make=True) as here:
            descriptor = self._write(here, id + _NEW, msgspec.json.encode(begun))
            try:
                with suppress(OSError):  # not every file system can, and a full one need not
                    os.posix_fallocate(descriptor, 0, RESERVED)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.rename(id + _NEW, id + _BEGUN, src_dir_fd=here, dst_dir_fd=here)
                os.fsync(here)
            except BaseException:
                os.close(descriptor)
                raise
        return Recording(self, begun, id, descriptor)

    def forget(self, begun: Begun, id: str) -> None:
        """For `Recording.forget`."""
        with suppress(FileNotFoundError), self._folder(begun.name) as here:
            os.unlink(id + _BEGUN, dir_fd=here)

    def note(self, plan: bytes) -> None:
        """Keep what is planned, for who judges whether it was done."""
        with self._folder(make=True) as here:
            temporary = secrets.token_hex(8) + _NEW
            os.close(self._write(here, temporary, plan))
            os.rename(temporary, _PLAN, src_dir_fd=here, dst_dir_fd=here)
            os.fsync(here)

    def plan(self) -> bytes:
        """What was noted last; b"" for nothing."""
        with suppress(FileNotFoundError), self._folder() as here, open(known_file(here, _PLAN), "rb") as file:
            return file.read(_MAX_SIZE)
        return b""

    def last_number(self, name: str) -> int:
        """The number of the last run that ended; 0 for none."""
        with suppress(FileNotFoundError), self._folder(name) as here:
            return max(_numbers(here), default=0)
        return 0

    def end(self, begun: Begun, id: str, descriptor: int, complete: Callable[[Sequence[R]], R]) -> R:
        """For `Recording.end`: `descriptor` is of what says that it goes on."""
        with self._folder(begun.name, make=True) as here:
            run = complete([one.record.run for one in self._runs(here)])
            record = Record(id=id, by=begun.by, run=run)
            try:
                self._add(here, record)
            except OSError:
                _leave(descriptor, msgspec.json.encode(record))
                return run
            with suppress(FileNotFoundError):
                os.unlink(id + _BEGUN, dir_fd=here)
            os.fsync(here)
        return run

    def _add(self, here: int, record: Record[R]) -> None:
        """The record is there wholly or not at all, under the next number."""
        temporary = record.id + _NEW
        os.close(self._write(here, temporary, msgspec.json.encode(record)))
        try:
            number = max(_numbers(here), default=0) + 1
            while True:
                try:
                    os.link(temporary, _file(number), src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False)
                    break
                except FileExistsError:  # another run of the job ended just now
                    number += 1
        finally:
            os.unlink(temporary, dir_fd=here)
        os.fsync(here)
        for old in sorted(_numbers(here))[:-KEPT]:
            with suppress(FileNotFoundError):
                os.unlink(_file(old), dir_fd=here)

    def _write(self, here: int, name: str, data: bytes) -> int:
        """A new file that is on the disk; returns its descriptor."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=here)
        descriptor = new_file(here, name)
        try:
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                os.unlink(name, dir_fd=here)
            raise
        return descriptor

    def _runs(self, here: int, after: int = 0, last: int = KEPT) -> Iterator[Numbered[R]]:
        for number in sorted(number for number in _numbers(here) if number > after)[-last:]:
            with suppress(FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
                descriptor = known_file(here, _file(number))
                with open(descriptor, "rb") as file:
                    yield Numbered(number, self._decoder.decode(file.read(_MAX_SIZE)))

    def _read_begun(self, descriptor: int) -> Begun | None:
        try:
            return self._begun.decode(_lines(descriptor)[0])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _read_left(self, descriptor: int) -> Record[R] | None:
        """The record that a run left in what says that it goes on."""
        try:
            return self._decoder.decode(_lines(descriptor)[1])
        except (IndexError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _folder(self, *names: str, make: bool = False) -> AbstractContextManager[int]:
        return folder(self._state, self._kind, *names, make=make)


class Recording(Generic[R]):
    """A run that goes on, and that is on record as such for as long as this process lives."""

    def __init__(self, book: Book[R], begun: Begun, id: str, descriptor: int) -> None:
        self._book = book
        self._begun = begun
        self._id = id
        self._descriptor = descriptor

    def forget(self) -> None:
        """It did not begin after all."""
        self._book.forget(self._begun, self._id)
        os.close(self._descriptor)

    def end(self, complete: Callable[[Sequence[R]], R]) -> R:
        """It has ended: `complete` makes the record, given the runs before.

        Where there is no room for it, it is kept until there is: see `Book.settle`. Raises OSError; then it counts as
        lost.
        """
        try:
            return self._book.end(self._begun, self._id, self._descriptor, complete)
        finally:
            os.close(self._descriptor)


def _lines(descriptor: int) -> list[bytes]:
    """What stands in a file of a run that goes on, without the room that is reserved in it."""
    return os.pread(descriptor, _MAX_SIZE, 0).rstrip(b"\0").split(b"\n")


def _leave(descriptor: int, record: bytes) -> None:
    """Write it behind the first line. Raises OSError where no room was reserved."""
    place = len(_lines(descriptor)[0])
    data = b"\n" + record
    while data:
        count = os.pwrite(descriptor, data, place)
        data, place = data[count:], place + count
    os.fsync(descriptor)


def _file(number: int) -> str:
    return f"{number:010}.json"


def _numbers(here: int) -> list[int]:
    return [int(match[1]) for name in os.listdir(here) if (match := _NUMBERED.fullmatch(name))]


def _ending_in(here: int, suffix: str) -> list[str]:
    return [name for name in os.listdir(here) if name.endswith(suffix)]


def _sweep(here: int) -> None:
    """Remove what kills left before it was a record of anything."""
    for name in _ending_in(here, _NEW):
        with suppress(FileNotFoundError):
            if time.time() - os.stat(name, dir_fd=here, follow_symlinks=False).st_mtime > _OLD:
                os.unlink(name, dir_fd=here)


@contextmanager
def _held(here: int, name: str) -> Iterator[tuple[int | None, bool]]:
    """The file, None where it has gone, and whether nobody else held it: then it is held until the end."""
    try:
        descriptor = known_file(here, name)
    except FileNotFoundError:
        yield None, False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_mine = os.fstat(descriptor).st_nlink > 0
        except BlockingIOError:
            is_mine = False
        yield descriptor, is_mine
    finally:
        os.close(descriptor)
