"""Changing trees: a new one is written only where something changed, and nodes that did not stay byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from backup.errors import DamagedError, RepositoryError
from backup.format.node import FOLDER, MAX_PATH, Node, encode_node, encode_tree, parse_tree
from backup.format.pack import BlobKind
from backup.maintain.loss import load_anywhere
from backup.repository.repository import Repository
from backup.repository.saver import BlobSaver

EMPTY_TREE = encode_tree([])

ChangeNode = Callable[[Node, bytes], Node | None]
"""Given an entry and its path; returns it, another one of the same name, or None to leave it out."""
OnFailed = Callable[[bytes, bytes, DamagedError], bytes | None]
"""Given a tree that is lost, the path of its folder and why; returns the JSON of a tree to put there, or None
where there is nothing to put (only asked for at the root)."""


class _RawTree(msgspec.Struct):
    nodes: list[msgspec.Raw] | None


_decode = msgspec.json.Decoder(_RawTree).decode


@dataclass(slots=True)
class _Folder:
    id: bytes
    path: bytes
    stable: bool
    """Whether the tree is made of its nodes and nothing else."""
    raw: list[bytes]
    nodes: list[Node]
    at: int = 0
    out: list[bytes] = field(default_factory=list)
    changed: bool = False


class TreeChanger:
    """Writes changed trees by a saver; with a saver of a dry run nothing is written, and the ids are the same."""

    def __init__(
        self,
        repository: Repository,
        saver: BlobSaver,
        change: ChangeNode,
        *,
        by_path: bool,
        on_failed: OnFailed | None = None,
    ) -> None:
        """`by_path`: what `change` does depends on the path, so that a tree is looked at in each place that it has.

        Without `on_failed`, a tree that is lost ends the work with its error, and so does one that has what
        would be lost in a change.
        """
        self._repository = repository
        self._saver = saver
        self._change = change
        self._by_path = by_path
        self._on_failed = on_failed
        self._known: dict[bytes, bytes] = {}
        """The new ids of trees that were looked at, where they do not depend on the path."""
        self._stack: list[_Folder] = []

    def run(self, root: bytes) -> bytes | None:
        """The id of the changed tree, the same one if nothing is changed; None if there is nothing to put there.

        Raises RepositoryError.
        """
        self._stack.clear()
        done = self._enter(root, b"")
        while self._stack:
            folder = self._stack[-1]
            if folder.at == len(folder.nodes):
                self._stack.pop()
                done = self._finish(folder)
                if self._stack:
                    self._take(self._stack[-1], done)
                continue
            self._look_at(folder)
        return done

    def _enter(self, id: bytes, path: bytes) -> bytes | None:
        """Begin with a folder. Returns what becomes of it if that is known at once, and nothing was begun."""
        if not self._by_path and id in self._known:
            return self._known[id]
        if len(path) > MAX_PATH:
            raise RepositoryError(f"tree {id.hex()[:8]} lies deeper than {MAX_PATH} bytes of a path can say")
        try:
            data = load_anywhere(self._repository, BlobKind.TREE, id)
            nodes = parse_tree(data)
        except DamagedError as error:
            if self._on_failed is None:
                raise
            instead = self._on_failed(id, path or b"/", error)
            if instead is None:
                return None
            return self._remember(id, self._saver.save(BlobKind.TREE, instead))
        raw = [bytes(node) for node in _decode(data).nodes or ()]
        self._stack.append(_Folder(id, path, encode_tree(raw) == data, raw, nodes))
        return None

    def _look_at(self, folder: _Folder) -> None:
        """The next entry."""
        at = folder.at
        old = folder.nodes[at]
        path = folder.path + b"/" + old.name
        new = self._change(old, path)
        if new is None:
            folder.changed = True
            folder.at += 1
            return
        if new != old:
            if self._on_failed is None and encode_node(old) != folder.raw[at]:
                raise DamagedError(f"tree {folder.id.hex()[:8]}: {path!r} has what would be lost in a change")
            folder.raw[at] = encode_node(new)
            folder.changed = True
            folder.nodes[at] = new
        if new.type != FOLDER:
            folder.out.append(folder.raw[at])
            folder.at += 1
            return
        # A folder without a tree has one that cannot be read.
        depth = len(self._stack)
        done = self._enter(new.subtree or bytes(32), path)
        if len(self._stack) == depth:
            self._take(folder, done)

    def _take(self, folder: _Folder, subtree: bytes | None) -> None:
        """What became of the folder that the current entry is."""
        node = folder.nodes[folder.at]
        raw = folder.raw[folder.at]
        folder.at += 1
        if subtree is None:
            folder.changed = True
            return
        if subtree != node.subtree:
            folder.changed = True
            old = b'"subtree":"%b"' % (node.subtree or b"").hex().encode()
            if node.subtree is not None and raw.count(old) == 1:
                # In place, so that fields of newer versions are kept.
                raw = raw.replace(old, b'"subtree":"%b"' % subtree.hex().encode())
            else:
                raw = encode_node(msgspec.structs.replace(node, subtree=subtree))
        folder.out.append(raw)

    def _finish(self, folder: _Folder) -> bytes:
        if not folder.changed:
            return self._remember(folder.id, folder.id)
        if self._on_failed is None and not folder.stable:
            raise DamagedError(f"tree {folder.id.hex()[:8]} has what would be lost in a change")
        return self._remember(folder.id, self._saver.save(BlobKind.TREE, encode_tree(folder.out)))

    def _remember(self, old: bytes, new: bytes) -> bytes:
        if not self._by_path:
            self._known[old] = new
        return new
