"""Making snapshots whole again, without what is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from backup.errors import DamagedError
from backup.format.crypto import OVERHEAD
from backup.format.node import FILE, TYPES, Node
from backup.format.pack import BlobKind
from backup.format.snapshot import Snapshot
from backup.maintain.replace import OnReplacement, Replacement, replace_snapshot
from backup.maintain.retree import EMPTY_TREE, TreeChanger
from backup.repository.repository import Repository
from backup.repository.saver import BlobSaver


@dataclass(frozen=True, slots=True)
class RepairSnapshotsOptions:
    """How to go about it."""

    forget: bool = False
    """Remove the broken snapshots."""
    dry_run: bool = False
    on_repair: Callable[[bytes, str], None] = lambda path, what: None
    """Told the path of each entry that is changed, and what is done: a clause."""
    on_snapshot: OnReplacement = lambda replacement: None


def repair_snapshots(
    repository: Repository, snapshots: Iterable[Snapshot], options: RepairSnapshotsOptions | None = None
) -> list[Replacement]:
    """Write broken snapshots anew without what is lost; the caller holds an exclusive lock. As restic does:

    files are left without the parts that no pack has, folders whose tree is lost become empty, entries of unknown
    types go. A new snapshot has the tag `repaired`, unless the old one goes. Of a snapshot whose root is lost there
    is no new one; unlike restic, which removes it in any case, it stays without `forget`. The index must be right:
    `repair_index` comes first, or what it does not know counts as lost.
    """
    options = options or RepairSnapshotsOptions()
    if not options.dry_run:
        repository.require_lock(exclusive=True)
    done = []
    with BlobSaver(repository, dry_run=options.dry_run) as saver:
        changer = _changer(repository, saver, options)
        for snapshot in snapshots:
            tree = changer.run(snapshot.tree) if snapshot.tree is not None else None
            saver.flush()
            replacement = replace_snapshot(
                repository, snapshot, tree, tag="repaired", forget=options.forget, dry_run=options.dry_run
            )
            options.on_snapshot(replacement)
            done.append(replacement)
    return done


def _changer(repository: Repository, saver: BlobSaver, options: RepairSnapshotsOptions) -> TreeChanger:
    find = repository.blobs.find

    def change(node: Node, path: bytes) -> Node | None:
        if node.type not in TYPES:
            options.on_repair(path, f"is of the unknown type {node.type[:40]!r}, and is left out")
            return None
        if node.type != FILE:
            return node
        places = [(id, find(BlobKind.DATA, id)) for id in node.content or ()]
        there = [(id, place) for id, place in places if place is not None]
        size = sum(place.plain_length or place.length - OVERHEAD for _, place in there)
        if len(there) != len(places):
            options.on_repair(path, f"loses {len(places) - len(there)} of its {len(places)} parts")
        elif size != node.size:
            options.on_repair(path, f"is said to have {node.size} bytes, and has {size}")
        elif node.content is not None:
            return node
        return msgspec.structs.replace(node, content=[id for id, _ in there], size=size)

    def failed(id: bytes, path: bytes, error: DamagedError) -> bytes | None:
        if path == b"/":
            options.on_repair(path, f"is lost: {error}")
            return None
        options.on_repair(path, f"is lost, and becomes empty: {error}")
        return EMPTY_TREE

    return TreeChanger(repository, saver, change, by_path=False, on_failed=failed)
