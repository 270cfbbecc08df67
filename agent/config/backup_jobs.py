"""The backup jobs alone: commands of backups are quick to start, and heed no mistake in other tables."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.config.backups import BackupOptions
from agent.config.places import files_and_folder, folder_beside
from agent.config.trust import distrust, own_or_roots
from kit.options.load import MistakesError, load


class _BackupJobs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    backups: dict[str, BackupOptions] = {}


def load_backup_jobs(file: Path, *, must_exist: bool = False) -> dict[str, BackupOptions]:
    """The tables `[backups.NAME]` by name. No file at all has none; `must_exist` is for one that somebody named.

    Raises ConfigurationError with a line for each mistake, for files that others could have written too.
    """
    if mistakes := distrust(files_and_folder(file), own_or_roots()):
        raise MistakesError(mistakes)
    found = load(_BackupJobs, file, folder=folder_beside(file), must_exist=must_exist, tables=("backups",))
    return found.value.backups
