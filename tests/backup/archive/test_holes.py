"""Sparse files: a hole is saved as chunks of zeros, of which one at least is in the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from backup.format.pack import BlobKind
from tests.backup.archive.ground import Ground
from tests.peers import newest_restic

MIB = 1 << 20


@pytest.mark.parametrize(
    "written",
    [{}, {0: 1}, {0: 5 * MIB}, {40 * MIB: 100}, {9 * MIB: 1, 50 * MIB: 3 * MIB}, {64 * MIB - 1: 1}],
    ids=["nothing", "a first byte", "a beginning", "the middle", "two places", "a last byte"],
)
def test_every_chunk_of_a_file_with_holes_is_in_the_repository(
    ground: Ground, tmp_path: Path, written: dict[int, int]
) -> None:
    """Wherever the first hole begins, at the file's first byte too."""
    file = tmp_path / "sparse"
    with file.open("wb") as stream:
        for place, length in written.items():
            stream.seek(place)
            stream.write(b"x" * length)
        stream.truncate(64 * MIB)
    assert ground.save(file).problems == []
    repository = ground.open()
    (snapshot,) = repository.snapshots()
    tree = snapshot.root
    while True:
        (node,) = repository.load_tree(tree)
        if node.subtree is None:
            break
        tree = node.subtree
    assert node.content is not None
    lengths = [len(repository.load_blob(BlobKind.DATA, id)) for id in node.content]
    assert sum(lengths) == 64 * MIB
    ground.restic(newest_restic(), "check", "--read-data", "--quiet")
