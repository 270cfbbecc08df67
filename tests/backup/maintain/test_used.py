"""What snapshots refer to."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.errors import DamagedError, RepositoryError
from backup.format.gotime import Moment
from backup.format.node import FILE, FOLDER, MAX_PATH, Node, encode_node, encode_tree, parse_tree
from backup.format.pack import BlobKind
from backup.format.snapshot import Snapshot
from backup.maintain.diff import diff
from backup.maintain.retree import TreeChanger
from backup.maintain.touched import touched_paths
from backup.maintain.trees import BATCH, parse_references
from backup.maintain.used import used_blobs
from backup.maintain.walk import walk
from backup.repository.repository import Repository
from backup.repository.saver import BlobSaver
from backup.stores.memory import MemoryStore
from tests.backup.maintain.conftest import CHEAP, PASSWORD, opened


def empty() -> Repository:
    return Repository.create(MemoryStore(), PASSWORD, cost=CHEAP)


def test_all_that_a_walk_finds_is_used(filled: Path) -> None:
    """And nothing else, for one snapshot and for all."""
    repository = opened(filled)
    trees = [snapshot.tree for snapshot in repository.snapshots() if snapshot.tree is not None]
    for roots in ([], trees[:1], trees):
        expected = {(BlobKind.TREE, root) for root in roots}
        for root in roots:
            for _, node, _ in walk(repository, root):
                expected |= {(BlobKind.DATA, id) for id in node.content or ()}
                expected |= {(BlobKind.TREE, node.subtree)} if node.subtree else set()
        used = used_blobs(repository, roots)
        assert used.complete
        assert len(used.marks) == len(expected)
        assert all(used.marks.has(*blob) for blob in expected)


def test_what_is_missing_or_damaged_is_told_and_the_rest_found() -> None:
    """Beside a tree that is no tree and blobs that are nowhere."""
    repository = empty()
    with repository.lock(), BlobSaver(repository) as saver:
        there = saver.save(BlobKind.DATA, b"there")
        broken = saver.save(BlobKind.TREE, b"no tree")
        root = saver.save(
            BlobKind.TREE,
            encode_tree(
                [
                    encode_node(Node(b"a", FILE, content=[there, b"\1" * 32])),
                    encode_node(Node(b"b", FOLDER, subtree=broken)),
                    encode_node(Node(b"c", FOLDER, subtree=b"\2" * 32)),
                ]
            ),
        )
        saver.flush()
    used = used_blobs(repository, [root])
    assert not used.complete
    assert used.missing == {(BlobKind.DATA, b"\1" * 32), (BlobKind.TREE, b"\2" * 32)}
    assert list(used.damaged) == [broken]
    assert used.marks.has(BlobKind.DATA, there)


def test_many_folders_and_a_long_chain_of_them_are_walked() -> None:
    """Neither depth nor width is bounded by the stack or a batch."""
    repository = empty()
    with repository.lock(), BlobSaver(repository) as saver:
        tree = saver.save(BlobKind.TREE, encode_tree([]))
        for _ in range(3000):
            tree = saver.save(BlobKind.TREE, encode_tree([encode_node(Node(b"d", FOLDER, subtree=tree))]))
        wide = [
            encode_node(
                Node(
                    b"%d" % number,
                    FOLDER,
                    subtree=saver.save(BlobKind.TREE, encode_tree([encode_node(Node(b"%d" % number))])),
                )
            )
            for number in range(3 * BATCH)
        ]
        root = saver.save(BlobKind.TREE, encode_tree([*wide, encode_node(Node(b"z", FOLDER, subtree=tree))]))
        saver.flush()
    used = used_blobs(repository, [root])
    assert used.complete
    assert len(used.marks) == 3001 + 3 * BATCH + 1
    assert sum(1 for _ in walk(repository, root)) == 3000 + 2 * 3 * BATCH + 1


def test_a_chain_of_long_names_is_not_followed_for_ever() -> None:
    """Its paths together grow by the square of its length; what lies deeper than any path is told, or not touched."""
    repository = empty()
    name = b"n" * 250
    with repository.lock(exclusive=True), BlobSaver(repository) as saver:
        tree = saver.save(BlobKind.TREE, encode_tree([]))
        for _ in range(200):
            tree = saver.save(BlobKind.TREE, encode_tree([encode_node(Node(name, FOLDER, subtree=tree))]))
        saver.flush()
        other = saver.save(BlobKind.TREE, encode_tree([encode_node(Node(b"other"))]))
        saver.flush()
        told: list[bytes] = []
        visited = list(walk(repository, tree, on_problem=lambda id, path, error: told.append(path)))
        assert len(visited) == MAX_PATH // 251 + 1
        assert told == [visited[-1].path]
        with pytest.raises(DamagedError, match="deeper"):
            list(walk(repository, tree))
        with pytest.raises(DamagedError, match="deeper"):
            diff(repository, other, tree)
        [touched] = touched_paths(repository, [Snapshot(Moment(0), tree, ("/",))], lambda kind, id: False)
        assert touched.paths == told
        changer = TreeChanger(repository, saver, lambda node, path: node, by_path=False, on_failed=lambda *_: b"")
        with pytest.raises(RepositoryError, match="deeper"):
            changer.run(tree)


@given(st.binary(max_size=200))
def test_references_of_anything_are_read_or_refused(data: bytes) -> None:
    """With the documented error alone."""
    for text in (data, b'{"nodes":[' + data + b"]}"):
        with contextlib.suppress(DamagedError):
            parse_references(text)


def test_references_are_those_of_the_nodes() -> None:
    """The same as the whole parser finds."""
    nodes = [
        Node(b"a", FILE, content=[os.urandom(32), os.urandom(32)]),
        Node(b"b", FILE, content=[]),
        Node(b"c", FOLDER, subtree=os.urandom(32)),
        Node(b"d", "symlink", linktarget=b"x"),
    ]
    tree = encode_tree(map(encode_node, nodes))
    assert [(node.type, node.content, node.subtree) for node in parse_tree(tree)] == [
        tuple(reference) for reference in parse_references(tree)
    ]
