"""Finding an entry of a snapshot by its path."""

from __future__ import annotations

from backup.errors import RepositoryError
from backup.format.node import FOLDER, Node, shown
from backup.repository.repository import Repository


def components(path: bytes) -> list[bytes]:
    """The names in a path of a snapshot, with `.` and `..` resolved as if it began at the root."""
    names: list[bytes] = []
    for name in path.split(b"/"):
        if name == b"..":
            del names[-1:]
        elif name not in (b"", b"."):
            names.append(name)
    return names


def find_entry(repository: Repository, tree: bytes, path: bytes) -> Node | None:
    """The entry of a path; None for the root. Raises RepositoryError where there is none."""
    found: Node | None = None
    done = b""
    for name in components(path):
        if found is not None:
            if found.type != FOLDER or found.subtree is None:
                raise RepositoryError(f"{shown(done)} in the snapshot is no folder: it is of type {found.type!r}")
            tree = found.subtree
        done += b"/" + name
        found = next((node for node in repository.load_tree(tree) if node.name == name), None)
        if found is None:
            raise RepositoryError(f"{shown(done)} is not in the snapshot; `hostward backup ls` lists what is")
    return found


def find_folder(repository: Repository, tree: bytes, path: bytes) -> bytes:
    """The tree of a folder, as in `SNAPSHOT:SUBFOLDER`. Raises RepositoryError where there is none."""
    found = find_entry(repository, tree, path)
    if found is None:
        return tree
    if found.type != FOLDER or found.subtree is None:
        raise RepositoryError(f"{shown(path)} in the snapshot is no folder: it is of type {found.type!r}")
    return found.subtree
