"""A rollout's journal on the administrator's machine: what a killed run needs to go on.

    ~/.local/state/hostward/rollouts/ID/journal.jsonl   the events, one a line, each on disk before the next step
                                        wave-N.log      what pyinfra printed
                                        wanted          `pause` or `abort`, from another terminal

The folder is for its owner alone, and who writes the journal holds a lock on it.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from kit.errors import HostwardError, UsageError
from kit.files import fsync_folder, lock_folder, write_durably
from rollout.events import VERSION, Event, Started
from rollout.rules.state import State, fold

Wanted = Literal["pause", "abort"]
LOCKED = 11
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
_FILE = "journal.jsonl"
_WANTED = "wanted"


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
    """The time, so that ids sort, and something that no other machine draws in the same second."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{secrets.token_hex(3)}"


def ids() -> list[str]:
    """Of all rollouts that there are, the oldest first."""
    with suppress(FileNotFoundError):
        return sorted(path.name for path in rollouts().iterdir() if _ID.fullmatch(path.name))
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

    def __init__(self, folder: Path, state: State | None, lock: int) -> None:
        self.folder = folder
        self._state = state
        self._lock = lock
        self._encode = msgspec.json.Encoder().encode
        try:
            self._file = os.open(folder / _FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(f"{folder / _FILE} cannot be written: {error.strerror}") from None

    @classmethod
    def create(cls, started: Started) -> Journal:
        """Begin one. Raises JournalError."""
        folder = rollouts() / started.id
        try:
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            journal = cls(folder, None, _locked(folder))
            journal.add(started)
            fsync_folder(folder)
            fsync_folder(folder.parent)
        except OSError as error:
            raise JournalError(f"{folder} cannot be written: {error.strerror}") from None
        return journal

    @classmethod
    def resume(cls, folder: Path) -> Journal:
        """Go on with one; what a killed run wrote of its last event is cut off. Raises JournalError, LockedError."""
        lock = _locked(folder)
        try:
            state, length = _read(folder / _FILE)
            journal = cls(folder, state, lock)
            os.ftruncate(journal._file, length)
            journal.take_wanted()
        except BaseException:
            os.close(lock)
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

    def close(self) -> None:
        """Let others go on with it."""
        os.close(self._file)
        os.close(self._lock)


def ask(folder: Path, wanted: Wanted) -> None:
    """Ask the process that runs a rollout for something. Raises JournalError."""
    try:
        write_durably(folder / _WANTED, wanted.encode(), mode=0o600)
    except OSError as error:
        raise JournalError(f"{folder / _WANTED} cannot be written: {error.strerror}") from None


def is_running(folder: Path) -> bool:
    """Whether some process runs it now."""
    lock = lock_folder(folder, mode=0o700)
    if lock is None:
        return True
    os.close(lock)
    return False


def _locked(folder: Path) -> int:
    lock = lock_folder(folder, mode=0o700)
    if lock is None:
        raise LockedError(f"the rollout {folder.name} is being run by another process")
    return lock


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
