"""Counting what a backup is going to save, ahead of it and beside it, so that whoever watches sees how much is left.

What is counted is what the walk would take, by the same scope. What cannot be read is left for the walk to tell.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from backup.archive.paths import FOLDER, join, open_quietly
from backup.archive.scope import FileSystems, Scope
from backup.archive.targets import Target, leaves
from backup.errors import RepositoryError
from backup.forked import Forked

Totals = tuple[int, int]
"""Files, and their bytes."""


class ScanAhead:
    """A scan in a process of its own: a thread would take the interpreter from the walk."""

    def __init__(self, targets: Target, scope: Scope, file_systems: FileSystems | None) -> None:
        """Begins at once. Where no process can be had there is no scan."""

        def work(top: Target) -> Totals:
            return scan(top, scope, file_systems)

        self._forked: Forked[Target, Totals] | None = None
        with suppress(RepositoryError):
            self._forked = Forked([targets], work, 1)

    def totals(self) -> Totals | None:
        """What was found, told once; None before that, and after."""
        if self._forked is not None:
            with suppress(RepositoryError):  # a backup does not fail for its progress
                for _, found in self._forked.outcomes(block=False):
                    return found
        return None

    def end(self) -> None:
        """Stop it, wherever it is."""
        if self._forked is not None:
            self._forked.end()


def scan(top: Target, scope: Scope, file_systems: FileSystems | None) -> Totals:
    """Count the files of the targets."""
    count = size = 0
    folders: list[tuple[bytes, int | None]] = []

    def take(path: bytes, status: os.stat_result, device: int | None) -> None:
        nonlocal count, size
        if stat.S_ISDIR(status.st_mode):
            if device in (None, status.st_dev):
                folders.append((path, device))
        elif stat.S_ISREG(status.st_mode) and device in (None, status.st_dev):
            count += 1
            size += status.st_size

    for target in leaves(top):
        if not target.explicit and scope.rejects(target.path):
            continue
        with suppress(OSError):
            status = os.lstat(target.path)
            if target.explicit or not scope.too_large(status):
                device = file_systems.device_at(target.path) if file_systems is not None else None
                take(target.path, status, device)
    while folders:
        path, device = folders.pop()
        with suppress(OSError):
            for name, status in _listed(path, scope):
                take(join(path, name), status, device)
    return count, size


def _listed(path: bytes, scope: Scope) -> list[tuple[bytes, os.stat_result]]:
    """The entries of a folder that are in the scope. Raises OSError."""
    found = []
    with os.scandir(path) as entries:
        for entry in entries:
            if scope.marks or not scope.rejects(entry.path):
                with suppress(OSError):
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
    if scope.marks:
        descriptor = open_quietly(path, FOLDER)
        try:
            mark = scope.mark_in(descriptor, {name for name, _ in found}, lambda reason: None)
        finally:
            os.close(descriptor)
        found = [
            entry for entry in found if (mark is None or entry[0] == mark) and not scope.rejects(join(path, entry[0]))
        ]
    return [entry for entry in found if not scope.too_large(entry[1])]
