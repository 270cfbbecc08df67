"""What the watcher of logs tells of itself: a small file that root writes and everybody may read.

The agent's user has no rights on logs, so its check `rotation` has nothing else to go by.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

from kit.errors import HostwardError
from kit.files import write_durably

NAME = "status.json"
VERSION = 1
MOST = 4 * 2**20
"""Bytes that are read of it."""
EVERY = 60.0
"""Seconds after which it is written again, whether anything happened or not."""


class StatusError(HostwardError):
    """The file cannot be used; the message says why."""


class Danger(msgspec.Struct, frozen=True):
    """A log that would have filled its disk, and was rotated before its time."""

    path: str
    time: float
    """Seconds since the epoch."""
    left: float
    """Seconds that there would have been room for."""


class RuleStatus(msgspec.Struct):
    """How a rule stands."""

    logs: int = 0
    size: int = 0
    """Bytes of the logs themselves."""
    kept: int = 0
    """Old ones that are there."""
    kept_size: int = 0
    """Their bytes."""
    growth: float | None = None
    """Bytes that are written a day; None while that cannot be told."""
    rotations: int = 0
    failures: int = 0
    low_disk: int = 0
    """Rotations before their time since the disk would have been full."""
    freed: int = 0
    """Bytes, by compression and removal."""
    rotated: float | None = None
    """When a log was last rotated, in seconds since the epoch."""
    success: float | None = None
    """When all of its logs were last as they should be: rotated, or not due."""
    trouble: str = ""
    """Why they are not."""
    failing_since: float | None = None
    """Since when."""
    danger: Danger | None = None
    """The last one."""
    budget: int | None = None
    """Bytes that its files and the journal of its units may take."""
    journal: dict[str, int] = {}
    """What the journal of each unit takes, as far as that can be told."""
    waiting: int = 0
    """Old ones that stay uncompressed until a check has read them."""

    @property
    def counted(self) -> int:
        """Bytes of the journal that count when old logs are removed for the budget: half of it at most. Removing logs
        makes no journal smaller, and who floods it shall not cost an application all that it has kept."""
        return min(sum(self.journal.values()), (self.budget or 0) // 2)

    @property
    def used(self) -> int:
        """Bytes that count into the budget."""
        return self.size + self.kept_size + sum(self.journal.values())


class Status(msgspec.Struct):
    """What is in the file."""

    written: float = 0.0
    """Seconds since the epoch."""
    version: int = VERSION
    scanned: list[str] = []
    """Rules whose logs are looked at at intervals, since nobody tells of changes there."""
    rules: dict[str, RuleStatus] = {}


def write(folder: Path, status: Status) -> None:
    """Put it in place of what was there. Raises OSError."""
    write_durably(folder / NAME, msgspec.json.encode(status), mode=0o644)


def read(path: Path, *, owners: frozenset[int] = frozenset({0})) -> Status:
    """What is told there. Nobody but `owners` may be able to write it. Raises StatusError, FileNotFoundError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StatusError(f"{path} cannot be read: {error.strerror}") from error
    with open(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in owners or found.st_mode & 0o022:
            raise StatusError(f"{path} is not believed: others than root may write it")
        data = file.read(MOST + 1)
    try:
        if len(data) > MOST:
            raise ValueError(f"it has more than {MOST} bytes")
        status = msgspec.json.decode(data, type=Status)
        if status.version != VERSION:
            raise ValueError(f"it is of version {status.version}, and this Hostward knows {VERSION}")
    except ValueError as error:
        raise StatusError(f"{path} makes no sense: {error}") from error
    return status
