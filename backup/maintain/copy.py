"""Copying snapshots to another repository."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from dataclasses import replace as with_fields

from backup.errors import DamagedError, RepositoryError
from backup.format.node import FILE
from backup.format.pack import BlobKind
from backup.format.snapshot import Snapshot
from backup.maintain.repack import move_blobs
from backup.maintain.trees import each_tree, parse_references
from backup.maintain.used import Marks
from backup.repository.repository import Repository
from backup.repository.saver import BlobSaver
from kit.errors import UsageError


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of a snapshot."""

    source: Snapshot
    target: Snapshot
    """With its id there."""
    skipped: bool
    """It was there already."""


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """Whom to tell."""

    on_progress: Callable[[str, int, int], None] = lambda phase, done, total: None
    """Of `trees` (so far; the total is 0) and `packs`, anew for each snapshot."""
    on_snapshot: Callable[[Copied], None] = lambda copied: None


def copy(
    source: Repository, target: Repository, snapshots: Iterable[Snapshot], options: CopyOptions | None = None
) -> list[Copied]:
    """Copy snapshots, and of their blobs those that `target` lacks; the caller holds a lock on both.

    One that was copied before is left out. Each is whole before the next one is begun, so that an interrupted copy
    goes on where it was. The files are not cut anew: what both repositories hold they may have cut differently, and
    then it takes its space twice. Raises DamagedError where the source lacks something.
    """
    options = options or CopyOptions()
    if source.config.id == target.config.id:
        raise UsageError("the source and the target of a copy are the same repository")
    target.require_lock(exclusive=False)
    there: dict[str, list[Snapshot]] = {}
    for snapshot in target.snapshots():
        for name in {snapshot.id, snapshot.original or snapshot.id}:
            there.setdefault(name, []).append(snapshot)
    done = []
    with BlobSaver(target) as saver:
        copier = _Copier(source, saver, options)
        for snapshot in snapshots:
            original = snapshot.original or snapshot.id
            same = next((other for other in there.get(original, ()) if _alike(snapshot, other)), None)
            if same is not None:
                copied = Copied(snapshot, same, skipped=True)
            else:
                copier.copy(snapshot)
                saver.flush()
                new = with_fields(snapshot, parent=None, original=original, id="")
                new = with_fields(new, id=target.save_snapshot(new))
                there.setdefault(original, []).append(new)
                copied = Copied(snapshot, new, skipped=False)
            options.on_snapshot(copied)
            done.append(copied)
    return done


def _alike(one: Snapshot, other: Snapshot) -> bool:
    """Whether one is a copy of the other: all is equal that copying leaves as it is."""
    return (
        one.time_ns == other.time_ns
        and one.tree == other.tree
        and (one.hostname, one.username, one.uid, one.gid) == (other.hostname, other.username, other.uid, other.gid)
        and one.excludes == other.excludes
        and sorted(one.paths) == sorted(other.paths)
        and sorted(one.tags) == sorted(other.tags)
    )


class _Copier:
    def __init__(self, source: Repository, saver: BlobSaver, options: CopyOptions) -> None:
        self._source = source
        self._saver = saver
        self._options = options
        self._seen = Marks(source.blobs)
        """Trees that were looked at, and blobs that are copied or were there."""

    def copy(self, snapshot: Snapshot) -> None:
        """Copy the blobs of a snapshot."""
        root = snapshot.root
        wanted: dict[bytes, array[int]] = {}
        """Slots by the pack that they are taken from."""

        def want(kind: BlobKind, id: bytes) -> bool:
            new = self._seen.add(kind, id)
            if new is None:
                raise DamagedError(
                    f"snapshot {snapshot.short_id} needs {kind.name.lower()} {id.hex()[:8]}, which is in no index"
                )
            if new and not self._saver.has(kind, id):
                place = index.find(kind, id)
                assert place is not None
                wanted.setdefault(place.pack, array("I")).append(index.slot_of(kind, id))
            return new

        def problem(id: bytes, error: RepositoryError) -> None:
            raise DamagedError(
                f"snapshot {snapshot.short_id} cannot be copied: tree {id.hex()[:8]} cannot be read: {error}"
            )

        index = self._source.blobs
        trees = each_tree(self._source, [root], parse_references, lambda id: want(BlobKind.TREE, id), problem)
        for count, (_, nodes) in enumerate(trees, 1):
            for node in nodes:
                if node.type == FILE:
                    for id in node.content or ():
                        want(BlobKind.DATA, id)
            self._options.on_progress("trees", count, 0)
        for done, (pack, slots) in enumerate(wanted.items(), 1):
            move_blobs(self._source, pack, map(index.at, slots), self._saver, same=False)
            self._options.on_progress("packs", done, len(wanted))
