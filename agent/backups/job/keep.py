"""Removing the snapshots of a job that its rules do not keep."""

from __future__ import annotations

from collections.abc import Sequence

from agent.backups.job.tags import tag_of
from agent.config.repositories import KeepOptions
from backup.errors import RepositoryError
from backup.format.snapshot import Snapshot
from backup.maintain.forget import forget
from backup.maintain.prune import PruneOptions
from backup.repository.repository import Repository
from backup.select.policy import Policy, decide
from backup.select.snapshots import Grouping
from backup.select.spans import NO_SPAN, Span
from backup.select.wal import needless
from kit.zones import zone_of


def snapshots_of(repository: Repository, job: str, host: str) -> list[Snapshot]:
    """Those that runs of the job made on a host, oldest first. Raises RepositoryError."""
    tag = tag_of(job)
    return [each for each in repository.snapshots() if each.hostname == host and tag in each.tags]


def policy_of(keep: KeepOptions) -> Policy:
    """The rules of a table `keep`."""
    return Policy(
        last=keep.last,
        hourly=keep.hourly,
        daily=keep.daily,
        weekly=keep.weekly,
        monthly=keep.monthly,
        yearly=keep.yearly,
        within=Span.parse(keep.within) if keep.within else NO_SPAN,
    )


def going(snapshots: Sequence[Snapshot], keep: KeepOptions, *, now: int) -> list[Snapshot]:
    """Of the snapshots of one job those that no rule keeps; `now` in nanoseconds since 1970.

    Raises RepositoryError where the rules would keep none at all.
    """
    groups = decide(snapshots, policy_of(keep), Grouping(), now=now, local=zone_of(""))
    return [snapshot for group in groups for snapshot in group.removed]


def apply_keep(repository: Repository, keep: KeepOptions, job: str, host: str, *, now: int) -> list[Snapshot]:
    """Remove them, WAL that no base backup needs any more, and what no snapshot needs then; gives the snapshots.

    The caller holds an exclusive lock.
    Raises RepositoryError, also where some could not be removed.
    """
    removed = going(snapshots_of(repository, job, host), keep, now=now)
    gone = {each.id for each in removed}
    # WAL is another job's than the base backups by which it is judged.
    removed += needless([each for each in repository.snapshots() if each.id not in gone])
    result = forget(repository, removed, prune_options=PruneOptions())
    for name, error in result.not_removed.items():
        raise RepositoryError(f"snapshot {name[:8]} could not be removed: {error}")
    if result.pruned is not None:
        for name, error in result.pruned.not_removed.items():
            raise RepositoryError(f"pack {name[:8]} could not be removed: {error}; the next run tries again")
    return removed
