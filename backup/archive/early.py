"""A look at folders before the repository is open: while the password's key is derived, there is little else to do.

Of each folder a digest of its entries is kept. Only where the cache (folders.py) knows the folder with this digest is
it taken from here; all else, and what cannot be read, is listed again. So a snapshot may hold what was there when the
look began, and that is the time it bears.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from backup.archive.devices import of_origin
from backup.archive.folders import entries_state
from backup.archive.listing import Overview, list_folder, overview_of
from backup.archive.paths import FOLDER, join, open_quietly
from backup.archive.plan import Plan
from backup.archive.scope import FileSystems
from backup.archive.targets import leaves, plan_targets
from kit.errors import UsageError

_MOST_FOLDERS = 16_384
"""Folders that are kept: some 20 MB."""
_MOST_AGE = 10.0
"""Seconds for which a look is good: who waited long for a lock wants what is there now."""


class Seen(NamedTuple):
    """A folder as it was."""

    status: os.stat_result
    overview: Overview


class EarlyLook:
    """What was seen of the targets of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.began = time.time_ns()
        self._began = _boot_time()
        self._plan = plan
        self._found: dict[bytes, Seen] = {}
        self._waiting: list[tuple[bytes, int | None]] = []
        """Paths of folders, the next one last, with the device that belongs to each."""
        with suppress(OSError, UsageError):  # the run tells what is wrong with its targets
            targets = [target for target in plan.targets if os.path.lexists(target)]
            file_systems = FileSystems.of(targets) if plan.scope.one_file_system else None
            for target in leaves(plan_targets(targets)):
                if target.explicit or not plan.scope.rejects(target.path):
                    device = file_systems.device_at(target.path) if file_systems is not None else None
                    self._waiting.append((target.path, device))
        self._waiting.reverse()

    @property
    def is_good(self) -> bool:
        """Whether it is not too old to be used."""
        return _boot_time() - self._began <= _MOST_AGE

    def look(self, enough: Callable[[], bool]) -> None:
        """Look at folders, in the order in which they are saved, until `enough` says so."""
        while self._waiting and len(self._found) < _MOST_FOLDERS and not enough():
            with suppress(OSError):
                self._look_at(*self._waiting.pop())

    def take(self, path: bytes) -> Seen | None:
        """What was seen of a folder; told once."""
        return self._found.pop(path, None)

    def _look_at(self, path: bytes, device: int | None) -> None:
        plan, problems = self._plan, list[bytes]()
        descriptor = open_quietly(path, FOLDER)
        try:
            status = of_origin(os.fstat(descriptor), plan.devices)
            listing = list_folder(
                path, descriptor, device, plan.devices, plan.scope, lambda path, reason: problems.append(path)
            )
        finally:
            os.close(descriptor)
        if problems:
            return
        overview = overview_of(listing, entries_state(listing))
        names = [name for name, _ in overview.subfolders]
        self._found[path] = Seen(status, overview._replace(subfolders=[(name, None) for name in names]))
        self._waiting.extend((join(path, name), device) for name in reversed(names))


def _boot_time() -> float:
    # Counts while the host sleeps, and nobody can set it.
    return time.clock_gettime(time.CLOCK_BOOTTIME)
