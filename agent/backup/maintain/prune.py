"""Removing what no snapshot refers to.

A kill at any point leaves a repository that is whole: first go packs that no index knows, then new packs are written
and their index, then index files without the old packs, then the old index files are removed, and the old packs last.
What is left over by a kill the next prune removes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from agent.backup.errors import DamagedError
from agent.backup.format.snapshot import Snapshot
from agent.backup.maintain.contents import PackContents
from agent.backup.maintain.prune_plan import PrunePlan, PruneRules, PruneStats, plan_prune
from agent.backup.maintain.reindex import rewrite_index
from agent.backup.maintain.remove import remove_files
from agent.backup.maintain.repack import move_blobs
from agent.backup.maintain.used import used_blobs
from agent.backup.repository.blobs import BlobIndex
from agent.backup.repository.repository import Repository
from agent.backup.repository.saver import BlobSaver
from agent.backup.stores.contract import FileKind, StoreError


@dataclass(frozen=True, slots=True)
class PruneOptions:
    """What to do."""

    rules: PruneRules = field(default_factory=PruneRules)
    dry_run: bool = False
    """Only plan."""
    on_progress: Callable[[str, int, int], None] = lambda phase, done, total: None
    """Told of `index` (files), `trees` (so far; the total is 0), `repack` (packs) and `remove` (packs)."""


@dataclass(frozen=True, slots=True)
class PruneResult:
    """What was done, or would be."""

    stats: PruneStats
    plan: PrunePlan
    not_removed: dict[str, StoreError] = field(default_factory=dict)
    """Packs that no index knows any longer and that could not be removed; the next prune tries again."""


def prune(repository: Repository, options: PruneOptions | None = None, *, without: Iterable[str] = ()) -> PruneResult:
    """Remove what is not needed; the caller holds an exclusive lock (for a dry run any, or none).

    `without` names snapshots that count as forgotten, for a dry run of `forget --prune`. Raises DamagedError, before
    anything is changed, where something that is needed is missing or cannot be read; StoreError, LockedError.
    """
    options = options or PruneOptions()
    if not options.dry_run:
        repository.require_lock(exclusive=True)
    plan = _plan(repository, options, frozenset(without))
    if options.dry_run:
        return PruneResult(plan.stats, plan)
    not_removed = _apply(repository, plan, options)
    repository.drop_index()
    return PruneResult(plan.stats, plan, not_removed)


def _plan(repository: Repository, options: PruneOptions, without: frozenset[str]) -> PrunePlan:
    snapshots = [snapshot for snapshot in repository.snapshots() if snapshot.id not in without]
    repository.load_index(on_progress=lambda done, total: options.on_progress("index", done, total))
    used = used_blobs(repository, map(_tree, snapshots), on_tree=lambda count: options.on_progress("trees", count, 0))
    for id, error in used.damaged.items():
        raise DamagedError(
            f"tree {id.hex()[:8]} cannot be read, so nobody knows what else is needed: {error}; nothing was changed"
        )
    if used.missing:
        kind, id = min(used.missing)
        others = f" and {len(used.missing) - 1} others are" if len(used.missing) > 1 else " is"
        raise DamagedError(
            f"{kind.name.lower()} {id.hex()[:8]}{others} needed by snapshots and in no index; nothing was changed;"
            " `check` tells what is lost, and `repair index` may find it"
        )
    stored = {bytes.fromhex(name): size for name, size in repository.names(FileKind.PACK)}
    return plan_prune(used.marks, stored, options.rules)


def _tree(snapshot: Snapshot) -> bytes:
    if snapshot.tree is None:
        raise DamagedError(f"snapshot {snapshot.short_id} has no tree; forget it first; nothing was changed")
    return snapshot.tree


def _apply(repository: Repository, plan: PrunePlan, options: PruneOptions) -> dict[str, StoreError]:
    not_removed = remove_files(repository, FileKind.PACK, (pack.hex() for pack in plan.unreferenced))
    if plan.repack:
        _repack(repository, plan, options)
    going = plan.remove | plan.repack
    if going or plan.forget:
        rewrite_index(repository, going | plan.forget)
    not_removed |= remove_files(
        repository,
        FileKind.PACK,
        (pack.hex() for pack in going),
        on_removed=lambda done: options.on_progress("remove", done, len(going)),
    )
    return not_removed


def _repack(repository: Repository, plan: PrunePlan, options: PruneOptions) -> None:
    index, keep = repository.blobs, plan.keep
    contents = PackContents(index)
    left = len(keep)
    # An index of its own: that of the repository must not grow, for marks are by its slots.
    with BlobSaver(repository, known=BlobIndex(), pack_size=options.rules.pack_size) as saver:
        for done, pack in enumerate(sorted(plan.repack, key=contents.numbers.__getitem__), 1):
            blobs = (blob for blob in contents.blobs(pack) if keep.has(blob.kind, blob.id))
            move_blobs(repository, pack, blobs, saver, same=True)
            options.on_progress("repack", done, len(plan.repack))
        saver.flush()
    if saver.blobs != left:
        raise DamagedError(f"{left} blobs were to be kept, and {saver.blobs} were written; no pack was removed")
