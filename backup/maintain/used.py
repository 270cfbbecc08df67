"""The blobs that snapshots refer to.

Repositories hold millions of blobs; a set of their ids would take more than a hundred bytes for each. So there is one
byte for each slot of the index (see repository/blobs.py), and a blob's mark is at the slot of its first place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from backup.errors import RepositoryError
from backup.format.node import FILE
from backup.format.pack import BlobKind
from backup.maintain.trees import each_tree, parse_references
from backup.repository.blobs import BlobIndex
from backup.repository.repository import Repository


class Marks:
    """A small number for each blob of an index, which must not grow meanwhile."""

    def __init__(self, index: BlobIndex) -> None:
        self.index = index
        self.at = bytearray(index.capacity)
        """By slot."""

    def add(self, kind: BlobKind, id: bytes) -> bool | None:
        """Mark a blob. Whether that is new; None where the index does not have it."""
        slot = self.index.slot_of(kind, id)
        if slot < 0:
            return None
        if self.at[slot]:
            return False
        self.at[slot] = 1
        return True

    def join(self, other: Marks) -> None:
        """Mark what another one of the same index has marked."""
        mine, theirs = int.from_bytes(self.at, "little"), int.from_bytes(other.at, "little")
        self.at[:] = (mine | theirs).to_bytes(len(self.at), "little")

    def has(self, kind: BlobKind, id: bytes) -> bool:
        """Whether a blob is marked."""
        slot = self.index.slot_of(kind, id)
        return slot >= 0 and self.at[slot] != 0

    def __len__(self) -> int:
        """How many are marked."""
        return len(self.at) - self.at.count(0)


@dataclass(slots=True)
class Used:
    """What was found below some trees."""

    marks: Marks
    """Every blob that is referred to and is in the index."""
    missing: set[tuple[BlobKind, bytes]] = field(default_factory=set)
    """Those that are in no index."""
    damaged: dict[bytes, RepositoryError] = field(default_factory=dict)
    """Trees that are in the index and could not be read, so that what they refer to is not known."""

    @property
    def complete(self) -> bool:
        """Whether all was there and could be read."""
        return not self.missing and not self.damaged


def used_blobs(
    repository: Repository, roots: Iterable[bytes], *, on_tree: Callable[[int], None] | None = None
) -> Used:
    """All blobs below these trees, and they themselves. `on_tree` is told how many were read so far."""
    used = Used(Marks(repository.blobs))
    marks, missing = used.marks, used.missing
    slot_of, at = repository.blobs.slot_of, marks.at

    def is_new(id: bytes) -> bool:
        new = marks.add(BlobKind.TREE, id)
        if new is None:
            missing.add((BlobKind.TREE, id))
        return bool(new)

    trees = each_tree(repository, roots, parse_references, is_new, used.damaged.__setitem__)
    for count, (_, nodes) in enumerate(trees, 1):
        for node in nodes:
            if node.content and node.type == FILE:
                for id in node.content:
                    slot = slot_of(BlobKind.DATA, id)
                    if slot < 0:
                        missing.add((BlobKind.DATA, id))
                    else:
                        at[slot] = 1
        if on_tree is not None:
            on_tree(count)
    return used
