"""The drills, and the backup jobs whose snapshots they restore, alone: as in backup_jobs.py."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.config.backups import BackupOptions
from agent.config.drills import DrillOptions, misfits
from agent.config.places import files_and_folder, folder_beside
from agent.config.trust import distrust, own_or_roots
from kit.options.load import MistakesError, load


class Drills(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Both tables, by name."""

    backups: dict[str, BackupOptions] = {}
    drills: dict[str, DrillOptions] = {}


def load_drills(file: Path, *, must_exist: bool = False) -> Drills:
    """The tables `[drills.NAME]` and `[backups.NAME]`. No file at all has none; `must_exist` is for one that somebody
    named.

    Raises ConfigurationError with a line for each mistake, for files that others could have written too.
    """
    if mistakes := distrust(files_and_folder(file), own_or_roots()):
        raise MistakesError(mistakes)
    found = load(Drills, file, folder=folder_beside(file), must_exist=must_exist, tables=("backups", "drills"))
    if mistakes := misfits(found.value.drills, found.value.backups, found.tree):
        raise MistakesError(mistakes)
    return found.value
