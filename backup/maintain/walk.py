"""Going through one snapshot in the order of its paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from backup.errors import DamagedError, RepositoryError
from backup.format.node import FOLDER, MAX_PATH, Node, shown
from backup.repository.repository import Repository


class Visited(NamedTuple):
    """An entry of a folder."""

    path: bytes
    """In the snapshot, from its root, which is `/`."""
    node: Node
    tree: bytes
    """The tree that it is an entry of."""


OnTreeProblem = Callable[[bytes, bytes, RepositoryError], None]
"""Told the id of a tree that could not be read, the path of its folder, and why."""


def walk(
    repository: Repository,
    root: bytes,
    *,
    enter: Callable[[Visited], bool] | None = None,
    on_problem: OnTreeProblem | None = None,
) -> Iterator[Visited]:
    """All entries below a tree, a folder before what is in it, and into it only if `enter` says so.

    A tree that cannot be read goes to `on_problem`; without it, its error is raised.
    """

    def open_folder(id: bytes, path: bytes) -> None:
        try:
            if len(path) > MAX_PATH:
                raise DamagedError(f"{shown(path[-200:])} lies deeper than {MAX_PATH} bytes of a path can say")
            stack.append((id, path, iter(repository.load_tree(id))))
        except RepositoryError as error:
            if on_problem is None:
                raise
            on_problem(id, path or b"/", error)

    stack: list[tuple[bytes, bytes, Iterator[Node]]] = []
    open_folder(root, b"")
    while stack:
        id, path, nodes = stack[-1]
        node = next(nodes, None)
        if node is None:
            stack.pop()
            continue
        visited = Visited(path + b"/" + node.name, node, id)
        yield visited
        if node.type == FOLDER and (enter is None or enter(visited)):
            if node.subtree is None:
                error = DamagedError(f"tree {id.hex()[:8]}: the folder {shown(visited.path)} has no tree")
                if on_problem is None:
                    raise error
                on_problem(id, visited.path, error)
            else:
                open_folder(node.subtree, visited.path)
