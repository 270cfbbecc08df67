"""What of the targets is saved: patterns, sizes, marks of folders, file systems. As restic has it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from backup.archive.paths import shown
from backup.archive.targets import absolute
from backup.select.filters import Excludes, Mark


@dataclass(frozen=True)
class Scope:
    """What is left out. Raises UsageError for a pattern that is malformed."""

    patterns: tuple[bytes, ...] = ()
    insensitive: tuple[bytes, ...] = ()
    """Patterns that do not heed case."""
    marks: tuple[Mark, ...] = ()
    """Files by which folders are told whose other entries are left out."""
    larger_than: int | None = None
    """Bytes; files beyond are left out."""
    one_file_system: bool = False
    excludes: Excludes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "excludes", Excludes(self.patterns, self.insensitive))

    def rejects(self, path: bytes) -> bool:
        """Whether an entry is left out by its path, without looking at it."""
        return bool(self.excludes) and self.excludes.rejects(path)

    def too_large(self, status: os.stat_result) -> bool:
        """Whether an entry is left out for its size."""
        return self.larger_than is not None and status.st_size > self.larger_than and not stat.S_ISDIR(status.st_mode)

    def mark_in(self, folder: int, names: Collection[bytes], warn: Callable[[str], None]) -> bytes | None:
        """The name of the mark that an open folder has: all else in it is left out."""
        for mark in self.marks:
            if mark.name in names and self._fits(mark, folder, warn):
                return mark.name
        return None

    def _fits(self, mark: Mark, folder: int, warn: Callable[[str], None]) -> bool:
        if not mark.header:
            return True
        try:
            descriptor = os.open(mark.name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            try:
                return mark.fits(os.read(descriptor, len(mark.header)))
            finally:
                os.close(descriptor)
        except OSError as error:
            warn(f"{shown(mark.name)} in it cannot be read: {error.strerror}")
            return False


class FileSystems:
    """Which file system an entry may be on: that of the nearest target above it."""

    def __init__(self, targets: Mapping[bytes, int]) -> None:
        """Targets, absolute and clean, with their st_dev."""
        self._targets = targets

    @classmethod
    def of(cls, targets: Iterable[bytes]) -> Self:
        """Those of targets as they were named. Raises OSError where one is not there."""
        return cls({absolute(target): os.lstat(target).st_dev for target in targets})

    def device_at(self, path: bytes) -> int | None:
        """The device that belongs to a path."""
        while True:
            device = self._targets.get(path)
            if device is not None or path in (b"/", b""):
                return device
            path = path[: path.rindex(b"/")] or b"/"
