"""Drills of files, on real repositories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.backups.drill.compare import Comparison
from agent.backups.drill.contract import DrillError, Restored
from agent.backups.drill.files import drill_files
from agent.config.drills import DrillOptions
from backup.format.node import Node
from backup.format.pack import BlobKind
from backup.maintain.walk import walk
from backup.metadata import local_instant
from backup.repository.repository import Repository
from kit.units import Size
from tests.backup.archive.ground import Ground

SEED = "0123456789abcdef"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Small files and a large one, in folders, with a link and an empty file."""
    top = tmp_path / "srv"
    for number in range(40):
        folder = top / f"folder{number % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file{number}").write_bytes(os.urandom(100 + number))
    (top / "large").write_bytes(os.urandom(2_500_000))
    (top / "empty").touch()
    (top / "link").symlink_to("large")
    (top / os.fsdecode(b"odd \xff\n")).write_text("odd")
    return top


@pytest.fixture
def saved(tmp_path: Path, files: Path) -> Iterator[tuple[Ground, Repository, bytes]]:
    """A repository with a snapshot of them, opened, and its tree."""
    ground = Ground(tmp_path / "repository")
    outcome = ground.save(files, workers=1)
    repository = ground.open()
    yield ground, repository, outcome.snapshot.root
    repository.store.close()


def drill(repository: Repository, tree: bytes, folder: Path, **fields: Any) -> Restored:
    options = DrillOptions(backup="shop", weekly="sunday 04:00", **fields)
    folder.mkdir()
    return drill_files(repository, tree, folder, options, seed=SEED, startup=0.5, tell=lambda *_: None)


def nodes(repository: Repository, tree: bytes) -> dict[bytes, Node]:
    return {visited.path: visited.node for visited in walk(repository, tree)}


def test_a_full_drill_brings_back_and_compares_every_file(
    saved: tuple[Ground, Repository, bytes], files: Path, tmp_path: Path
) -> None:
    """And those that did not change since, with this host's own."""
    _, repository, tree = saved
    (files / "folder1/file1").write_text("another content")
    found = drill(repository, tree, tmp_path / "scratch", kind="full")
    assert (found.files, found.total_files, found.differing, found.estimated) == (43, 43, 0, False)
    assert found.live_files == 42
    assert found.bytes == found.total_bytes > 2_500_000
    assert found.seconds > 0.5
    copy = tmp_path / "scratch" / str(files).lstrip("/")
    assert (copy / "large").read_bytes() == (files / "large").read_bytes()
    assert (copy / "link").is_symlink()


def test_a_sample_is_restored_alone_and_the_same_for_the_same_seed(
    saved: tuple[Ground, Repository, bytes], files: Path, tmp_path: Path
) -> None:
    """The time for all is estimated."""
    _, repository, tree = saved
    names = []
    for name in ("one", "two"):
        found = drill(repository, tree, tmp_path / name, sample_files=7, live_files=3)
        assert (found.files, found.total_files, found.live_files) == (7, 43, 3)
        assert found.estimated
        assert found.seconds > 0.5
        copy = tmp_path / name / str(files).lstrip("/")
        names.append({path.relative_to(copy) for path in copy.rglob("*") if not path.is_dir()})
    assert names[0] == names[1]
    assert len(names[0]) == 7


def test_a_sample_that_holds_everything_is_measured(saved: tuple[Ground, Repository, bytes], tmp_path: Path) -> None:
    """Nothing is left to estimate."""
    _, repository, tree = saved
    found = drill(repository, tree, tmp_path / "scratch", sample_files=1000)
    assert (found.files, found.estimated, found.differing) == (43, False, 0)


def test_a_file_whose_data_is_damaged_is_named(saved: tuple[Ground, Repository, bytes], tmp_path: Path) -> None:
    """Once, with the reason that the repository gives."""
    ground, repository, tree = saved
    large = nodes(repository, tree)[os.fsencode(tmp_path / "srv/large")]
    assert large.content is not None
    place = next(iter(repository.blobs.find_all(BlobKind.DATA, large.content[0])))
    pack = next((ground.place / "data").rglob(place.pack.hex()))
    pack.chmod(0o600)
    content = bytearray(pack.read_bytes())
    content[place.offset + 100] ^= 1
    pack.write_bytes(content)
    found = drill(repository, tree, tmp_path / "scratch", kind="full")
    assert found.differing == 1
    assert "srv/large: data" in found.differences[0]
    assert found.files == 43


def test_what_came_back_and_was_changed_is_found(
    saved: tuple[Ground, Repository, bytes], files: Path, tmp_path: Path
) -> None:
    """By one byte more or another, and where it is missing; and a file of this host that only looks unchanged."""
    _, repository, tree = saved
    drill(repository, tree, tmp_path / "scratch", kind="full")
    found, comparison = nodes(repository, tree), Comparison(repository)
    path = os.fsencode(files / "large")
    copy = tmp_path / "scratch" / os.fsdecode(path).lstrip("/")
    root = os.open(tmp_path / "scratch", os.O_RDONLY)
    try:
        assert comparison.restored(root, path, found[path]) == ""
        with copy.open("ab") as file:
            file.write(b"x")
        assert comparison.restored(root, path, found[path]) == "is not what the snapshot says"
        copy.write_bytes(b"x" * found[path].size)
        assert comparison.restored(root, path, found[path]) == "is not what the snapshot says"
        copy.unlink()
        assert comparison.restored(root, path, found[path]) == "did not come back"
    finally:
        os.close(root)
    live = os.fsencode(files / "folder1/file1")
    assert comparison.live(live, found[live]) == ""
    alike = files / "alike"
    alike.write_bytes(b"a" * found[path].size)
    status = alike.stat()
    node = found[path]
    node.inode = status.st_ino
    node.mtime, node.ctime = local_instant(status.st_mtime_ns), local_instant(status.st_ctime_ns)
    answer = comparison.live(os.fsencode(alike), node)
    assert answer is not None
    assert "has not changed since" in answer


def test_more_than_there_is_room_for_is_refused_before_anything_is_written(
    saved: tuple[Ground, Repository, bytes], tmp_path: Path
) -> None:
    """And so is a sample into which no file fits."""
    _, repository, tree = saved
    with pytest.raises(DrillError, match=r"2\.\dMiB would be restored, and `space` allows 1MiB"):
        drill(repository, tree, tmp_path / "scratch", kind="full", space=Size(2**20))
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_snapshot_without_a_file_is_told(tmp_path: Path) -> None:
    """A sample of nothing proves nothing."""
    (tmp_path / "srv/inner").mkdir(parents=True)
    ground = Ground(tmp_path / "repository")
    tree = ground.save(tmp_path / "srv", workers=1).snapshot.root
    repository = ground.open()
    try:
        with pytest.raises(DrillError, match="the snapshot holds no file"):
            drill(repository, tree, tmp_path / "scratch")
    finally:
        repository.store.close()
