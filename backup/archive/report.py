"""What a run tells while it goes on, and when it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from enum import StrEnum

from backup.format.snapshot import Snapshot, Summary

MOST_PROBLEMS = 10_000
"""Problems that are kept in memory; all of them are told as they come."""


@dataclass(slots=True)
class Progress:
    """How far a run is. Changes in place."""

    files: int = 0
    size: int = 0
    """Bytes of files that are done, unchanged ones too, and of what is read of the next."""
    total_files: int | None = None
    """As in the parent snapshot, or by the scan ahead; None while nobody knows."""
    total_size: int | None = None
    problems: int = 0
    current: bytes = b""
    """The folder that was come to last."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A path that is not in the snapshot as it should be."""

    path: str
    reason: str


class Became(StrEnum):
    """Of a file or folder, against the parent snapshot; in restic's words."""

    NEW = "new"
    MODIFIED = "modified"
    UNCHANGED = "unchanged"


@dataclass(slots=True)
class Counts:
    """What became of files and folders, as restic's summary has it."""

    files_new: int = 0
    files_changed: int = 0
    files_unmodified: int = 0
    dirs_new: int = 0
    dirs_changed: int = 0
    dirs_unmodified: int = 0
    data_blobs: int = 0
    tree_blobs: int = 0
    data_added: int = 0
    data_added_packed: int = 0
    total_bytes_processed: int = 0
    bytes_read: int = 0
    """Of files that were read, since they were new or had changed; restic's summary does not have it."""

    @property
    def total_files_processed(self) -> int:
        """All of them."""
        return self.files_new + self.files_changed + self.files_unmodified

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did."""

    snapshot: Snapshot
    """Its id is empty where it was not written: a dry run, or nothing has changed and that was asked for."""
    summary: Summary
    problems: list[Problem] = field(default_factory=list)
    """What is not in the snapshot as it should be; the first of them."""
    problem_count: int = 0
    """All of them."""
    bytes_read: int = 0
    """Of files and streams that were read, since they were new or had changed."""


OnProgress = Callable[[Progress], None]
OnProblem = Callable[[Problem], None]
OnEntry = Callable[[Became, bytes, int], None]
"""What became of an entry, where it lies in the snapshot (a folder with a slash at its end), bytes of a file."""


def ignore(word: Progress | Problem) -> None:
    """Tell nobody."""
