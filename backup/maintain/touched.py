"""Which files of which snapshots suffer from blobs that are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from backup.errors import RepositoryError
from backup.format.node import FILE, FOLDER, MAX_PATH, Node
from backup.format.pack import BlobKind
from backup.format.snapshot import Snapshot
from backup.repository.repository import Repository

MOST_PATHS = 1000
"""Paths that are kept for one snapshot; all are counted."""


@dataclass(slots=True)
class Touched:
    """What of a snapshot cannot be restored, or only in part."""

    snapshot: Snapshot
    paths: list[bytes] = field(default_factory=list)
    """Files of which a part is lost, and folders whose tree is; `/` where it is the root. The first MOST_PATHS."""
    count: int = 0


@dataclass(slots=True)
class _Folder:
    """A folder on the way."""

    id: bytes
    path: bytes
    nodes: Sequence[Node]
    at: int = 0
    clean: bool = True


def touched_paths(
    repository: Repository, snapshots: Iterable[Snapshot], is_lost: Callable[[BlobKind, bytes], bool]
) -> list[Touched]:
    """The snapshots in which something is lost. What is found to be whole once is not looked into again."""
    whole: set[bytes] = set()
    found = []
    for snapshot in snapshots:
        if snapshot.tree is None:
            continue
        touched = Touched(snapshot)
        _walk(repository, snapshot.tree, is_lost, whole, touched)
        if touched.count:
            found.append(touched)
    return found


def _walk(
    repository: Repository,
    root: bytes,
    is_lost: Callable[[BlobKind, bytes], bool],
    whole: set[bytes],
    touched: Touched,
) -> None:
    def lost(path: bytes) -> None:
        touched.count += 1
        if touched.count <= MOST_PATHS:
            touched.paths.append(path or b"/")

    def enter(id: bytes, path: bytes) -> bool:
        """Whether the folder is whole, as far as is known before its entries are looked at."""
        if id in whole:
            return True
        if len(path) <= MAX_PATH and not is_lost(BlobKind.TREE, id):
            try:
                stack.append(_Folder(id, path, repository.load_tree(id)))
                return True
            except RepositoryError:
                pass
        lost(path)
        return False

    stack: list[_Folder] = []
    enter(root, b"")
    while stack:
        folder = stack[-1]
        if folder.at == len(folder.nodes):
            stack.pop()
            if folder.clean:
                whole.add(folder.id)
            elif stack:
                stack[-1].clean = False
            continue
        node = folder.nodes[folder.at]
        folder.at += 1
        path = folder.path + b"/" + node.name
        if node.type == FOLDER:
            if node.subtree is None:
                lost(path)
                folder.clean = False
            elif not enter(node.subtree, path):
                folder.clean = False
        elif node.type == FILE and any(is_lost(BlobKind.DATA, id) for id in node.content or ()):
            lost(path)
            folder.clean = False
