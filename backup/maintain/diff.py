"""What differs between two trees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntFlag
from operator import attrgetter
from typing import NamedTuple

import msgspec

from backup.errors import DamagedError, RepositoryError
from backup.format.crypto import OVERHEAD
from backup.format.instant import instant_nanoseconds
from backup.format.node import FILE, FOLDER, MAX_PATH, Node, shown
from backup.format.pack import BlobKind
from backup.maintain.trees import each_tree, parse_references
from backup.maintain.used import Marks
from backup.repository.repository import Repository


class Change(NamedTuple):
    """One line of restic's diff."""

    path: bytes
    """With a slash at its end for a folder."""
    modifier: str
    """`+` added, `-` removed, else any of `T` type, `M` content, `?` content though nothing else, `U` metadata."""


@dataclass(slots=True)
class DiffSide:
    """What is only in one of the two."""

    files: int = 0
    dirs: int = 0
    others: int = 0
    data_blobs: int = 0
    tree_blobs: int = 0
    bytes: int = 0
    """Of the blobs, uncompressed."""

    def add(self, node: Node) -> None:
        """Count an entry."""
        if node.type == FILE:
            self.files += 1
        elif node.type == FOLDER:
            self.dirs += 1
        else:
            self.others += 1


@dataclass(slots=True)
class DiffStats:
    """What differs, in figures."""

    changed_files: int = 0
    added: DiffSide = field(default_factory=DiffSide)
    removed: DiffSide = field(default_factory=DiffSide)


class _In(IntFlag):
    BEFORE = 1
    AFTER = 2
    COMMON = 4
    """In a folder that both have."""


class _Pair(NamedTuple):
    before: Node | None
    after: Node | None


def diff(
    repository: Repository,
    before: bytes,
    after: bytes,
    *,
    metadata: bool = False,
    on_change: Callable[[Change], None] = lambda _: None,
    on_problem: Callable[[RepositoryError], None] | None = None,
) -> DiffStats:
    """Compare two trees, the roots of snapshots or folders in them. Changes come in the order of their paths.

    With `metadata`, what only its metadata tells apart is a change, too. What cannot be read goes to `on_problem`;
    without it, and for the two trees themselves, its error is raised.
    """
    return _Diff(repository, metadata, on_change, on_problem).run(before, after)


class _Diff:
    def __init__(
        self,
        repository: Repository,
        metadata: bool,
        on_change: Callable[[Change], None],
        on_problem: Callable[[RepositoryError], None] | None,
    ) -> None:
        self._repository = repository
        self._metadata = metadata
        self._on_change = on_change
        self._on_problem = on_problem
        self._stats = DiffStats()
        self._marks = Marks(repository.blobs)
        self._stack: list[tuple[bytes, Iterator[_Pair]]] = []

    def run(self, before: bytes, after: bytes) -> DiffStats:
        self._mark(BlobKind.TREE, before, _In.BEFORE)
        self._mark(BlobKind.TREE, after, _In.AFTER)
        self._stack.append((b"/", _pairs(self._load(b"/", before), self._load(b"/", after))))
        while self._stack:
            path, pairs = self._stack[-1]
            pair = next(pairs, None)
            if pair is None:
                self._stack.pop()
                continue
            try:
                self._compare(path, pair)
            except RepositoryError as error:
                if self._on_problem is None:
                    raise
                self._on_problem(error)
        self._count_blobs()
        return self._stats

    def _load(self, path: bytes, tree: bytes) -> list[Node]:
        if len(path) > MAX_PATH:
            raise DamagedError(f"{shown(path[-200:])} lies deeper than {MAX_PATH} bytes of a path can say")
        return self._repository.load_tree(tree)

    def _compare(self, folder: bytes, pair: _Pair) -> None:
        before, after = pair
        self._mark_node(before, _In.BEFORE)
        self._mark_node(after, _In.AFTER)
        if before is None or after is None:
            self._one_sided(folder, pair)
            return
        path = folder + after.name + (b"/" if after.type == FOLDER else b"")
        modifier = "T" if before.type != after.type else ""
        if before.type == after.type == FILE and before.content != after.content:
            self._stats.changed_files += 1
            rest = msgspec.structs.replace(before, content=None), msgspec.structs.replace(after, content=None)
            modifier += "M?" if _same(*rest) else "M"
        elif self._metadata and not _same(before, after):
            modifier += "U"
        if modifier:
            self._on_change(Change(path, modifier))
        if before.type == after.type == FOLDER and before.subtree is not None and after.subtree is not None:
            if before.subtree == after.subtree:
                self._mark_common(before.subtree)
            else:
                inner = self._load(path, before.subtree), self._load(path, after.subtree)
                self._stack.append((path, _pairs(*inner)))

    def _one_sided(self, folder: bytes, pair: _Pair) -> None:
        """What only one side has, and all that is in it."""
        node = pair.before or pair.after
        assert node is not None
        path = folder + node.name + (b"/" if node.type == FOLDER else b"")
        self._on_change(Change(path, "-" if pair.before else "+"))
        (self._stats.removed if pair.before else self._stats.added).add(node)
        if node.type == FOLDER and node.subtree is not None:
            inner = self._load(path, node.subtree)
            self._stack.append((path, _pairs(inner, []) if pair.before else _pairs([], inner)))

    def _mark_node(self, node: Node | None, where: _In) -> None:
        if node is None:
            return
        if node.type == FILE:
            for id in node.content or ():
                self._mark(BlobKind.DATA, id, where)
        elif node.type == FOLDER and node.subtree is not None:
            self._mark(BlobKind.TREE, node.subtree, where)

    def _mark(self, kind: BlobKind, id: bytes, where: _In) -> bool:
        """Whether that is new."""
        slot = self._repository.blobs.slot_of(kind, id)
        if slot < 0 or self._marks.at[slot] & where:
            return False
        self._marks.at[slot] |= where
        return True

    def _mark_common(self, tree: bytes) -> None:
        """All below a tree that both sides have."""

        def is_new(id: bytes) -> bool:
            return self._mark(BlobKind.TREE, id, _In.COMMON)

        def problem(_: bytes, error: RepositoryError) -> None:
            if self._on_problem is None:
                raise error
            self._on_problem(error)

        for _, nodes in each_tree(self._repository, [tree], parse_references, is_new, problem):
            for node in nodes:
                if node.type == FILE:
                    for id in node.content or ():
                        self._mark(BlobKind.DATA, id, _In.COMMON)

    def _count_blobs(self) -> None:
        for slot, mark in enumerate(self._marks.at):
            if mark in (_In.BEFORE, _In.AFTER):
                blob = self._repository.blobs.at(slot)
                side = self._stats.removed if mark == _In.BEFORE else self._stats.added
                if blob.kind is BlobKind.DATA:
                    side.data_blobs += 1
                else:
                    side.tree_blobs += 1
                side.bytes += blob.plain_length or blob.length - OVERHEAD


def _pairs(before: list[Node], after: list[Node]) -> Iterator[_Pair]:
    """Entries of the same name together, in the order of names."""
    name = attrgetter("name")
    first, second = iter(sorted(before, key=name)), iter(sorted(after, key=name))
    left, right = next(first, None), next(second, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left.name < right.name):
            yield _Pair(left, None)
            left = next(first, None)
        elif left is None or left.name > right.name:
            yield _Pair(None, right)
            right = next(second, None)
        else:
            yield _Pair(left, right)
            left, right = next(first, None), next(second, None)


def _same(one: Node, other: Node) -> bool:
    """Whether all fields are equal; times count by the instant, whatever their zones."""
    if one == other:
        return True
    return _comparable(one) == _comparable(other)


def _comparable(node: Node) -> tuple[Node, int, int, int]:
    return (
        msgspec.structs.replace(node, mtime="", atime="", ctime=""),
        instant_nanoseconds(node.mtime),
        instant_nanoseconds(node.atime),
        instant_nanoseconds(node.ctime),
    )
