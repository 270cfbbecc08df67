"""A few bytes beside the database that tell when it went back to what it was before.

SQLite takes a damaged log (`-wal`) for the end of the log: the database is then sound, and as it was a while ago.
Numbers of reports would be given twice, and home would take the second report for a repeat of the first. So the
epoch and the highest number given are noted in a file of their own, after each commit. It is not synced: the note
may come late, never early, and what it is to find is no power cut.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kit.files import own_as_folder

FILE = "agent.mark"


@dataclass(frozen=True, slots=True)
class Mark:
    """The highest number that was given to a report under an epoch."""

    epoch: str
    sequence: int


def note(folder: Path, mark: Mark) -> None:
    """Write the mark, by one call and always over the same bytes. What hinders it is no reason not to report."""
    path = folder / FILE
    with suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            own_as_folder(path)
            os.pwrite(descriptor, f"{mark.epoch:<64} {mark.sequence:>20}\n".encode(), 0)
        finally:
            os.close(descriptor)


def read(folder: Path) -> Mark | None:
    """The mark that was noted last; None where there is none, or none that can be read."""
    try:
        epoch, sequence = (folder / FILE).read_text("ascii").split()
        return Mark(epoch, int(sequence))
    except (OSError, ValueError):
        return None
