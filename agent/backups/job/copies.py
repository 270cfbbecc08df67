"""Copying a job's snapshots into one more repository."""

from __future__ import annotations

from collections.abc import Sequence

from agent.backups.job.keep import snapshots_of
from backup.format.snapshot import Snapshot
from backup.maintain.copy import copy
from backup.repository.repository import Repository


def lacking(here: Sequence[Snapshot], there: Sequence[Snapshot], *, now: int) -> list[Snapshot]:
    """Which of the job's snapshots `here` belong `there`, oldest first: all that are newer than the newest one there.
    `now` in nanoseconds since 1970: what lies ahead was told by a clock that was wrong, and hides nothing.

    Older ones were there and have gone by its own rules. Where there is none yet, all of them do.
    """
    newest = max((each.time_ns for each in there if each.time_ns <= now), default=None)
    return [each for each in here if newest is None or each.time_ns > newest]


def copy_job(
    source: Repository, target: Repository, job: str, host: str, snapshot: str, *, now: int
) -> tuple[str, int]:
    """Copy what `target` lacks, and surely the snapshot that was just made ('' for none): its id there, and how many
    were copied. The caller holds locks on both. Raises RepositoryError, UsageError where both are the same.
    """
    here = snapshots_of(source, job, host)
    wanted = lacking(here, snapshots_of(target, job, host), now=now)
    if all(each.id != snapshot for each in wanted):
        wanted += [each for each in here if each.id == snapshot]
    done = copy(source, target, wanted)
    new = next((copied.target.id for copied in done if copied.source.id == snapshot), "")
    return new, sum(not copied.skipped for copied in done)
