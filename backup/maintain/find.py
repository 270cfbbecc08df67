"""Finding files by their names, or by what the repository calls their parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from backup.errors import DamagedError, RepositoryError
from backup.format.node import FILE, FOLDER
from backup.format.pack import BlobKind
from backup.format.snapshot import Snapshot
from backup.maintain.contents import PackContents
from backup.maintain.walk import OnTreeProblem, Visited, walk
from backup.repository.repository import Repository
from backup.select.filters import Filter
from backup.stores.contract import FileKind

_SHORT = 8
"""Digits of a short id; it is that or the whole."""


@dataclass(frozen=True, slots=True)
class FindOptions:
    """What to look for by name."""

    patterns: Filter
    newest: int | None = None
    """Nanoseconds since 1970: nothing that was modified later."""
    oldest: int | None = None
    """Nothing that was modified earlier."""
    on_problem: OnTreeProblem = lambda id, path, error: None


class FoundEntry(NamedTuple):
    """An entry that matches."""

    snapshot: Snapshot
    visited: Visited


class FoundObject(NamedTuple):
    """A place of a tree, or of a blob of a file."""

    kind: BlobKind
    id: bytes
    path: bytes
    tree: bytes | None
    """Of a blob: the tree in which the file is."""
    snapshot: Snapshot


@dataclass(slots=True)
class Wanted:
    """Ids to look for, whole ones and the first eight digits of others, in hexadecimal."""

    blobs: set[str] = field(default_factory=set)
    trees: set[str] = field(default_factory=set)

    def add(self, kind: BlobKind, id: str) -> None:
        """Look for it, too."""
        (self.trees if kind is BlobKind.TREE else self.blobs).add(id)


def find_entries(repository: Repository, snapshots: Iterable[Snapshot], options: FindOptions) -> Iterator[FoundEntry]:
    """Entries whose path matches, by the snapshots in their order; what cannot be read is told and left out."""

    def enter(visited: Visited) -> bool:
        return options.patterns.child_may_match(visited.path)

    for snapshot in snapshots:
        for visited in walk(repository, snapshot.root, enter=enter, on_problem=options.on_problem):
            if not options.patterns.matches(visited.path):
                continue
            time = visited.node.mtime_ns
            if (options.oldest is not None and time < options.oldest) or (
                options.newest is not None and time > options.newest
            ):
                continue
            yield FoundEntry(snapshot, visited)


def find_objects(
    repository: Repository,
    snapshots: Iterable[Snapshot],
    wanted: Wanted,
    *,
    on_problem: OnTreeProblem = lambda id, path, error: None,
) -> Iterator[FoundObject]:
    """Where trees and blobs are, by the snapshots in their order; a blob once for each time that a file has it."""

    def is_wanted(id: bytes, among: set[str]) -> bool:
        name = id.hex()
        return name in among or name[:_SHORT] in among

    for snapshot in snapshots:
        root = snapshot.root
        if wanted.trees and is_wanted(root, wanted.trees):
            yield FoundObject(BlobKind.TREE, root, b"/", None, snapshot)
        for visited in walk(repository, root, on_problem=on_problem):
            node = visited.node
            if node.type == FOLDER and wanted.trees and node.subtree and is_wanted(node.subtree, wanted.trees):
                yield FoundObject(BlobKind.TREE, node.subtree, visited.path, None, snapshot)
            elif node.type == FILE and wanted.blobs:
                for id in node.content or ():
                    if is_wanted(id, wanted.blobs):
                        yield FoundObject(BlobKind.DATA, id, visited.path, visited.tree, snapshot)


def in_packs(repository: Repository, packs: Iterable[str]) -> Wanted:
    """What is in packs, by their whole names or first eight digits: by their headers, or else by the index.

    Raises DamagedError for one that is neither in the store nor in the index.
    """
    left = set(packs)
    wanted = Wanted()
    for name, size in repository.names(FileKind.PACK):
        if name in left or name[:_SHORT] in left:
            try:
                blobs = repository.read_pack_header(bytes.fromhex(name), size)
            except RepositoryError:
                continue  # the index may tell
            for blob in blobs:
                wanted.add(blob.kind, blob.id.hex())
            left -= {name, name[:_SHORT]}
    if left:
        contents = PackContents(repository.blobs)
        for pack in contents:
            name = pack.hex()
            if name in left or name[:_SHORT] in left:
                for blob in contents.blobs(pack):
                    wanted.add(blob.kind, blob.id.hex())
                left -= {name, name[:_SHORT]}
    if left:
        raise DamagedError(f"there is no pack {', '.join(sorted(left))}, neither in the store nor in the index")
    return wanted
