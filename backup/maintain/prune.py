"""Removing what no snapshot refers to.

A kill at any point leaves a repository that is whole: first go packs that no index knows, then new packs are written
and their index, then index files without the old packs, then the old index files are removed, and the old packs last.
What is left over by a kill the next prune removes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from backup.errors import DamagedError
from backup.maintain.contents import PackContents
from backup.maintain.prune_plan import PrunePlan, PruneRules, PruneStats, plan_prune
from backup.maintain.reindex import rewrite_index
from backup.maintain.remove import remove_files
from backup.maintain.repack import move_blobs
from backup.maintain.used import used_blobs
from backup.repository.blobs import BlobIndex
from backup.repository.repository import Repository
from backup.repository.saver import BlobSaver
from backup.stores.contract import FileKind, FileMissingError, StoreError


@dataclass(frozen=True, slots=True)
class PruneOptions:
    """What to do."""

    rules: PruneRules = field(default_factory=PruneRules)
    dry_run: bool = False
    """Only plan."""
    on_progress: Callable[[str, int, int], None] = lambda phase, done, total: None
    """Told of `index` (files), `trees` (so far; the total is 0), `repack` (packs) and `remove` (packs)."""
    ignored: frozenset[str] = frozenset()
    """Names of snapshot files that never were snapshots, so that nothing is needed for them."""
    lacking: frozenset[str] = frozenset()
    """Names of snapshots that never were whole: what there is of them is kept, and what is missing is no reason not
    to prune."""
    before: Callable[[PrunePlan], None] = lambda plan: None
    """Called when the plan is made and before anything is changed; what it raises ends all."""


@dataclass(frozen=True, slots=True)
class PruneResult:
    """What was done, or would be."""

    stats: PruneStats
    plan: PrunePlan
    not_removed: dict[str, StoreError] = field(default_factory=dict)
    """Packs that no index knows any longer and that could not be removed; the next prune tries again."""


def prune(repository: Repository, options: PruneOptions | None = None, *, without: Iterable[str] = ()) -> PruneResult:
    """Remove what is not needed; the caller holds an exclusive lock (for a dry run any, or none).

    `without` names snapshots that count as forgotten: those that `options.before` removes, or that a dry run of
    `forget --prune` would. Raises DamagedError, before anything is changed, where something that is needed is missing
    or cannot be read; StoreError, LockedError.
    """
    options = options or PruneOptions()
    if not options.dry_run:
        repository.require_lock(exclusive=True)
    plan = _plan(repository, options, frozenset(without))
    if options.dry_run:
        return PruneResult(plan.stats, plan)
    options.before(plan)
    not_removed = _apply(repository, plan, options)
    repository.drop_index()
    return PruneResult(plan.stats, plan, not_removed)


def _plan(repository: Repository, options: PruneOptions, without: frozenset[str]) -> PrunePlan:
    trees = _trees(repository, options, without)
    whole = [tree for name, tree in trees.items() if name not in options.lacking]
    repository.load_index(on_progress=lambda done, total: options.on_progress("index", done, total))
    used = used_blobs(repository, whole, on_tree=lambda count: options.on_progress("trees", count, 0))
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
    if len(whole) < len(trees):
        used.marks.join(used_blobs(repository, [trees[name] for name in trees if name in options.lacking]).marks)
    stored = {bytes.fromhex(name): size for name, size in repository.names(FileKind.PACK)}
    return plan_prune(used.marks, stored, options.rules)


def _trees(repository: Repository, options: PruneOptions, without: frozenset[str]) -> dict[str, bytes]:
    """Of the snapshots that stay, and no more: one file of them may be very large."""
    found = {}
    for name, _ in repository.names(FileKind.SNAPSHOT):
        if name in without:
            continue
        try:
            tree = repository.load_snapshot(name).tree
        except FileMissingError:  # somebody forgot it just now
            continue
        except DamagedError:
            if name not in options.ignored:
                raise
            continue
        if tree is not None:
            found[name] = tree
        elif name not in options.lacking:
            raise DamagedError(f"snapshot {name[:8]} has no tree; forget it first; nothing was changed")
    return found


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
