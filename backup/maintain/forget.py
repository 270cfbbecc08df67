"""Removing snapshots. What they alone referred to stays until the next prune."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from backup.format.snapshot import Snapshot
from backup.maintain.prune import PruneOptions, PruneResult, prune
from backup.maintain.remove import remove_files
from backup.repository.repository import Repository
from backup.stores.contract import FileKind, StoreError


@dataclass(frozen=True, slots=True)
class ForgetResult:
    """What was done, or would be."""

    removed: list[Snapshot]
    not_removed: dict[str, StoreError] = field(default_factory=dict)
    """Names of snapshots that are still there, and why."""
    pruned: PruneResult | None = None


def forget(
    repository: Repository,
    snapshots: Iterable[Snapshot],
    *,
    prune_options: PruneOptions | None = None,
    dry_run: bool = False,
    on_removed: Callable[[int], None] | None = None,
) -> ForgetResult:
    """Remove snapshots, as select/policy.py or the user chose them; the caller holds an exclusive lock.

    With `prune_options`, prune as well if anything was removed; what snapshots refer to that could not be is kept.
    """
    snapshots = list(snapshots)
    names = [snapshot.id for snapshot in snapshots]
    failed: dict[str, StoreError] = {}
    if not dry_run:
        repository.require_lock(exclusive=True)
        failed = remove_files(repository, FileKind.SNAPSHOT, names, on_removed=on_removed)
    removed = [snapshot for snapshot in snapshots if snapshot.id not in failed]
    pruned = None
    if prune_options is not None and removed:
        pruned = prune(
            repository,
            replace(prune_options, dry_run=prune_options.dry_run or dry_run),
            without=names if dry_run else (),
        )
    return ForgetResult(removed, failed, pruned)
