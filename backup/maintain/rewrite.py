"""Leaving files out of snapshots that were made, or giving them another host or time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from backup.format.gotime import Moment
from backup.format.node import FILE, Node
from backup.format.snapshot import Snapshot, Summary
from backup.maintain.replace import OnReplacement, Replacement, replace_snapshot
from backup.maintain.retree import TreeChanger
from backup.repository.repository import Repository
from backup.repository.saver import BlobSaver
from backup.select.filters import Excludes
from kit.errors import UsageError


@dataclass(frozen=True, slots=True)
class RewriteOptions:
    """What to change. At least one of the first three."""

    excludes: Excludes | None = None
    """Over paths in the snapshot."""
    new_host: str = ""
    new_time: Moment | None = None
    forget: bool = False
    """Remove the old snapshots, for which the caller holds an exclusive lock."""
    dry_run: bool = False
    on_excluded: Callable[[bytes], None] = lambda path: None
    """Told the path of each entry that is left out."""
    on_snapshot: OnReplacement = lambda replacement: None


def rewrite(repository: Repository, snapshots: Iterable[Snapshot], options: RewriteOptions) -> list[Replacement]:
    """Rewrite snapshots one by one; the caller holds a lock. Each is whole when the next one is begun.

    Raises UsageError if there is nothing to do, DamagedError where a tree cannot be read or would lose something.
    """
    if not (options.excludes or options.new_host or options.new_time):
        raise UsageError("there is nothing to rewrite: expected --exclude or the like, --new-host or --new-time")
    if not options.dry_run:
        repository.require_lock(exclusive=options.forget)
    done = []
    for snapshot in snapshots:
        tree: bytes | None = snapshot.root
        summary = snapshot.summary
        if options.excludes:
            tree, summary = _exclude(repository, snapshot, snapshot.root, options.excludes, options)
        replacement = replace_snapshot(
            repository,
            snapshot,
            tree,
            tag="rewrite",
            forget=options.forget,
            dry_run=options.dry_run,
            hostname=options.new_host,
            moment=options.new_time,
            summary=summary if tree != snapshot.tree else None,
        )
        options.on_snapshot(replacement)
        done.append(replacement)
    return done


def _exclude(
    repository: Repository, snapshot: Snapshot, tree: bytes, excludes: Excludes, options: RewriteOptions
) -> tuple[bytes | None, Summary]:
    files = size = 0

    def change(node: Node, path: bytes) -> Node | None:
        nonlocal files, size
        if excludes.rejects(path):
            options.on_excluded(path)
            return None
        if node.type == FILE:
            files += 1
            size += node.size
        return node

    with BlobSaver(repository, dry_run=options.dry_run) as saver:
        new = TreeChanger(repository, saver, change, by_path=True).run(tree)
        saver.flush()
    summary = snapshot.summary or Summary("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z")
    return new, msgspec.structs.replace(summary, total_files_processed=files, total_bytes_processed=size)
