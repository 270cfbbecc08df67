"""Finding one entry of a snapshot by its path."""

from __future__ import annotations

from agent.backup.errors import DamagedError, RepositoryError
from agent.backup.format.node import FOLDER, Node
from agent.backup.repository.repository import Repository


def find_entry(repository: Repository, tree: bytes, path: bytes) -> Node | None:
    """The entry at an absolute and clean path; None is the root. Raises RepositoryError where there is no such."""
    node: Node | None = None
    so_far = b""
    for name in path.split(b"/"):
        if not name:
            continue
        if node is not None:
            if node.type != FOLDER:
                raise RepositoryError(f"{_shown(so_far)} is no folder in the snapshot")
            tree = subtree_of(node, so_far)
        so_far += b"/" + name
        node = next((each for each in repository.load_tree(tree) if each.name == name), None)
        if node is None:
            raise RepositoryError(f"{_shown(so_far)} is not in the snapshot")
    return node


def find_folder(repository: Repository, tree: bytes, path: bytes) -> bytes:
    """The tree of the folder at a path, as above. Raises RepositoryError also where there is another thing."""
    node = find_entry(repository, tree, path)
    if node is None:
        return tree
    if node.type != FOLDER:
        raise RepositoryError(f"{_shown(path)} is no folder in the snapshot")
    return subtree_of(node, path)


def subtree_of(node: Node, path: bytes) -> bytes:
    """The id of a folder's tree. Raises DamagedError where it has none."""
    if node.subtree is None:
        raise DamagedError(f"the folder {_shown(path)} has no tree")
    return node.subtree


def _shown(path: bytes) -> str:
    return path.decode(errors="replace")
