"""What snapshots hold, counted from their folders and the index, whatever they say of themselves.

A tree is read once, however many snapshots share it. A host can write folders that refer to one another so often
that all their files are more than there are atoms: sums are made of sums, and end at MOST.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from backup.errors import DamagedError, RepositoryError
from backup.format.crypto import OVERHEAD
from backup.format.node import FILE, FOLDER
from backup.format.pack import BlobKind
from backup.maintain.trees import Reference, each_tree, parse_references
from backup.maintain.used import Marks
from backup.repository.repository import Repository

MOST = 2**53
"""The largest number of bytes or files that is told."""


class Measured(NamedTuple):
    """What one holds."""

    bytes: int
    files: int
    changed: int
    """Bytes of blobs that no snapshot measured before had."""
    problem: str
    """What it lacks, a sentence without its full stop; '' where it is whole."""


class _Folder(NamedTuple):
    size: int
    files: int
    folders: tuple[bytes, ...]
    problem: str


class Measure:
    """Measures one snapshot after the other."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._marks = Marks(repository.blobs)
        self._folders: dict[bytes, _Folder] = {}
        self._sums: dict[bytes, tuple[int, int, str]] = {}
        self._changed = 0

    def add(self, tree: bytes | None) -> Measured:
        """Measure the one with this tree. Raises StoreError where the store does not answer, MemoryError where it is
        too large."""
        self._changed = 0
        if tree is None:
            return Measured(0, 0, 0, "it has no folder at all")
        for id, nodes in each_tree(self._repository, [tree], parse_references, self._is_new, self._note_problem):
            self._folders[id] = self._folder(nodes)
        size, files, problem = self._sum(tree)
        self._folders.clear()
        return Measured(min(size, MOST), min(files, MOST), min(self._changed, MOST), problem)

    def _is_new(self, id: bytes) -> bool:
        new = self._marks.add(BlobKind.TREE, id)
        if new is None:
            self._folders.setdefault(id, _Folder(0, 0, (), f"a folder of it ({id.hex()[:8]}) is not there"))
        return bool(new)

    def _note_problem(self, id: bytes, error: RepositoryError) -> None:
        if not isinstance(error, DamagedError):
            raise error
        self._folders[id] = _Folder(0, 0, (), f"a folder of it ({id.hex()[:8]}) cannot be read: {error}")

    def _folder(self, nodes: Iterable[Reference]) -> _Folder:
        index, marks = self._repository.blobs, self._marks.at
        size = files = 0
        folders = []
        problem = ""
        for node in nodes:
            if node.type == FOLDER:
                if node.subtree is None:
                    problem = problem or "a folder in it has no content"
                else:
                    folders.append(node.subtree)
            elif node.type == FILE:
                files += 1
                for id in node.content or ():
                    slot = index.slot_of(BlobKind.DATA, id)
                    if slot < 0:
                        problem = problem or f"data of it ({id.hex()[:8]}) is not there"
                        continue
                    blob = index.at(slot)
                    length = blob.plain_length or max(blob.length - OVERHEAD, 0)
                    size += length
                    if not marks[slot]:
                        marks[slot] = 1
                        self._changed += length
        return _Folder(size, files, tuple(folders), problem)

    def _sum(self, root: bytes) -> tuple[int, int, str]:
        """Bytes, files and the first problem of a folder and all below it. A folder cannot hold itself: its name is
        the hash of what it holds."""
        waiting = [root] if root not in self._sums else []
        while waiting:
            id = waiting[-1]
            if id in self._sums:  # several hold it
                waiting.pop()
                continue
            folder = self._folders[id]
            left = [inner for inner in folder.folders if inner not in self._sums]
            if left:
                waiting += left
                continue
            waiting.pop()
            inner = [self._sums[each] for each in folder.folders]
            self._sums[id] = (
                min(folder.size + sum(size for size, _, _ in inner), MOST),
                min(folder.files + sum(files for _, files, _ in inner), MOST),
                folder.problem or next((problem for _, _, problem in inner if problem), ""),
            )
        return self._sums[root]
