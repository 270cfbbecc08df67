"""A rollout's journal on the administrator's machine: what a killed run needs to go on.

    ~/.local/state/hostward/rollouts/ID/journal.jsonl   the events, one a line, each on disk before the next step
                                        wave-N.log      what pyinfra printed
                                        wanted          `pause` or `abort`, from another terminal
                                        told            how many bytes of the journal home has been told of

The folder is for its owner alone, and who writes the journal holds a lock on the file. A folder whose journal has no
first event is of a rollout that was never begun: nothing was done, and it is passed over.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from kit.errors import HostwardError, UsageError
from kit.files import fsync_folder, write_durably
from rollout.events import VERSION, Event, Started
from rollout.lock import is_locked, locked
from rollout.rules.state import State, fold
from wire.rollout import RolloutRecord

Wanted = Literal["pause", "abort"]
LOCKED = 11
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
_FILE = "journal.jsonl"
_WANTED = "wanted"
_TOLD = "told"


class JournalError(HostwardError):
    """A journal cannot be read or written; says which and why."""


class LockedError(HostwardError):
    """Somebody else runs this rollout."""

    exit_code = LOCKED


def rollouts() -> Path:
    """The folder of all rollouts of this user."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "hostward" / "rollouts"


def new_id(now: float) -> str:
    """The time, so that ids sort, also within a second, and something that no other machine draws in the same."""
    fraction = int(now % 1 * 0x1000)
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{fraction:03x}{secrets.randbelow(0x1000):03x}"


def ids() -> list[str]:
    """Of all rollouts that were begun, the oldest first."""
    with suppress(FileNotFoundError):
        return sorted(path.name for path in rollouts().iterdir() if _ID.fullmatch(path.name) and _has_begun(path))
    return []


def find(given: str | None) -> Path:
    """The folder of the rollout that is meant; the newest where None is given. Raises UsageError."""
    known = ids()
    if given is None:
        if not known:
            raise UsageError(f"there is no rollout in {rollouts()}")
        return rollouts() / known[-1]
    found = [name for name in known if name == given or (len(given) >= 4 and name.endswith(given))]
    if len(found) != 1:
        raise UsageError(f'there is no rollout "{given}"; hostward-rollout list shows those that there are')
    return rollouts() / found[0]


def read(folder: Path) -> State:
    """The state that a journal tells. Raises JournalError."""
    return _read(folder / _FILE)[0]


class Journal:
    """One rollout's journal, to which this process alone adds."""

    def __init__(self, folder: Path, *, new: bool) -> None:
        """Raises JournalError, LockedError."""
        self.folder = folder
        self._state: State | None = None
        self._encode = msgspec.json.Encoder().encode
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if new else 0)
        try:
            self._file = os.open(folder / _FILE, flags, 0o600)
        except OSError as error:
            raise JournalError(f"{folder / _FILE} cannot be written: {error.strerror}") from None
        try:
            if not locked(self._file):
                raise LockedError(f"the rollout {folder.name} is being run by another process")
        except BaseException:
            os.close(self._file)
            raise

    @classmethod
    def create(cls, started: Started) -> Journal:
        """Begin one. Raises JournalError; nothing is left of it then."""
        folder = rollouts() / started.id
        try:
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise JournalError(f"{folder} cannot be written: {error.strerror}") from None
        journal = None
        try:
            journal = cls(folder, new=True)
            journal.add(started)
            fsync_folder(folder)
            fsync_folder(folder.parent)
        except BaseException as error:
            if journal is not None:
                journal.close()
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise JournalError(f"{folder} cannot be written: {error.strerror}") from None
            raise
        return journal

    @classmethod
    def resume(cls, folder: Path) -> Journal:
        """Go on with one; what a killed run wrote of its last event is cut off. Raises JournalError, LockedError."""
        journal = cls(folder, new=False)
        try:
            journal._state, length = _read(folder / _FILE)
            os.ftruncate(journal._file, length)
            journal.take_wanted()
        except BaseException:
            journal.close()
            raise
        return journal

    @property
    def state(self) -> State:
        """As it stands now."""
        assert self._state is not None, "made by create or resume"
        return self._state

    def add(self, event: Event) -> None:
        """Have it on disk when this returns. Raises JournalError; the event then did not happen."""
        line = self._encode(event) + b"\n"
        try:
            before = os.fstat(self._file).st_size
            try:
                written = os.write(self._file, line)
                if written != len(line):
                    raise OSError(28, "No space left on device")
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, before)
                raise
        except OSError as error:
            raise JournalError(f"{self.folder / _FILE} cannot be written: {error.strerror}") from None
        if self._state is None:
            assert isinstance(event, Started)
            self._state = State(event)
        else:
            self._state.apply(event)

    def log(self, wave: int) -> Path:
        """Where the process of a wave writes what its libraries print."""
        return self.folder / f"wave-{wave + 1}.log"

    def wanted(self) -> Wanted | None:
        """What somebody asked for at another terminal."""
        with suppress(OSError):
            text = (self.folder / _WANTED).read_text()
            return "abort" if text == "abort" else "pause"
        return None

    def take_wanted(self) -> None:
        """It is done, or no longer wanted."""
        with suppress(FileNotFoundError):
            (self.folder / _WANTED).unlink()

    def told(self) -> None:
        """Home knows all of it."""
        note_told(self.folder, os.fstat(self._file).st_size)

    def close(self) -> None:
        """Let others go on with it."""
        os.close(self._file)


def ask(folder: Path, wanted: Wanted) -> None:
    """Ask the process that runs a rollout for something. Raises JournalError."""
    try:
        write_durably(folder / _WANTED, wanted.encode(), mode=0o600)
    except OSError as error:
        raise JournalError(f"{folder / _WANTED} cannot be written: {error.strerror}") from None


def note_told(folder: Path, size: int) -> None:
    """Home knows what these first bytes of the journal tell. What cannot be noted is told once more."""
    with suppress(OSError):
        write_durably(folder / _TOLD, str(size).encode(), mode=0o600)


def untold(folder: Path, since: float) -> int | None:
    """The bytes of a journal that was written to after `since`, where home was not told all of it. Raises
    JournalError."""
    try:
        found = (folder / _FILE).stat()
    except OSError as error:
        raise JournalError(f"{folder / _FILE} cannot be read: {error.strerror}") from None
    if found.st_mtime <= since:
        return None
    with suppress(OSError):
        if (folder / _TOLD).read_text() == str(found.st_size):
            return None
    return found.st_size


def standing(folder: Path, record: RolloutRecord) -> RolloutRecord:
    """A journal that says `running` while nobody runs it was killed: it waits to be resumed. Raises JournalError."""
    if record.state == "running" and not is_running(folder):
        return msgspec.structs.replace(record, state="paused", message="its process is gone; resume goes on with it")
    return record


def is_running(folder: Path) -> bool:
    """Whether some process runs it now. Raises JournalError."""
    try:
        descriptor = os.open(folder / _FILE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return is_locked(descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise JournalError(f"{folder / _FILE} cannot be read: {error.strerror}") from None


def _has_begun(folder: Path) -> bool:
    """Whether the first event is there, whole. One that cannot be read may be: who wants it is told."""
    try:
        with (folder / _FILE).open("rb") as file:
            return file.readline().endswith(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _read(path: Path) -> tuple[State, int]:
    """The state, and the bytes that its whole lines take."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from None
    whole = content[: content.rfind(b"\n") + 1]
    try:
        return fold(_events(whole)), len(whole)
    except (msgspec.DecodeError, ValueError, KeyError, IndexError) as error:
        raise JournalError(f"{path} is no journal of a rollout: {error}") from None


def _events(content: bytes) -> Iterator[Event]:
    decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
    for line in content.splitlines():
        event = decoder.decode(line)
        if isinstance(event, Started) and event.version > VERSION:
            raise ValueError(f"it was written by a newer hostward-rollout ({event.hostward})")
        yield event
