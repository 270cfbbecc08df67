"""What the real restic backed up comes back as it was; and where both restore, the same comes out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from backup.format.node import FOLDER, encode_node, encode_tree, parse_tree
from backup.format.pack import BlobKind
from backup.metadata import read_metadata
from backup.repository.repository import Repository
from backup.restore.locate import find_folder
from backup.stores.local import LocalStore
from tests.backup.restore.making import CHEAP, PASSWORD, fill, listing, opened, restore, run_restic
from tests.peers import newest_restic, restic_of_debian
from tests.require import require_root
from tests.zones import zone

ZONE = "America/St_Johns"


class Saved(NamedTuple):
    """A folder, and the repository to which a restic has saved it."""

    program: Path
    source: Path
    place: Path


@pytest.fixture(scope="module", params=["debian", "newest"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Of each version."""
    require_root()
    program = restic_of_debian() if request.param == "debian" else newest_restic()
    base = tmp_path_factory.mktemp("saved")
    source, place = base / "source", base / "repository"
    source.mkdir()
    fill(source)
    Repository.create(LocalStore(place), PASSWORD, cost=CHEAP)
    run_restic(program, place, "backup", ".", cwd=source, TZ=ZONE)
    return Saved(program, source, place)


def expected(saved: Saved) -> dict[bytes, object]:
    """What is to be restored: 0.14 knows no bytes of links beyond UTF-8."""
    found = listing(saved.source)
    if saved.program == restic_of_debian():
        del found[b"/link to bad bytes"]
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_all_comes_back(saved: Saved, tmp_path: Path, workers: int) -> None:
    """Names, modes, owners, times, links, attributes, devices, content: nothing is lost."""
    repository, tree = opened(saved.place)
    said = restore(repository, tree, tmp_path / "out", workers=workers, verify=True)
    assert (said.errors, said.warnings) == ({}, [])
    wanted = expected(saved)
    found = listing(tmp_path / "out")
    assert {path: found.get(path) for path in wanted} == wanted
    assert set(found) - set(wanted) <= {b"/link to bad bytes"}
    assert said.progress.files == said.progress.files_done == len(found)
    assert said.progress.bytes == said.progress.bytes_done
    assert not (tmp_path / "out/socket").exists()


def test_holes_come_back(saved: Saved, tmp_path: Path) -> None:
    """With `sparse`, blocks of zeros take no room; content is the same."""
    repository, tree = opened(saved.place)
    restore(repository, tree, tmp_path / "out", sparse=True)
    for name in ("holes", "large"):
        restored = tmp_path / "out" / name
        assert restored.read_bytes() == (saved.source / name).read_bytes()
        blocks = restored.stat().st_blocks * 512
        assert blocks < 1 << 20 if name == "holes" else blocks >= 5 << 20


def test_trees_have_the_same_bytes(saved: Saved) -> None:
    """What is parsed is encoded to what restic wrote, but for what only its version writes so."""
    repository, tree = opened(saved.place)
    trees = [tree]
    while trees:
        data = repository.load_blob(BlobKind.TREE, trees.pop())
        nodes = parse_tree(data)
        trees += [node.subtree for node in nodes if node.type == FOLDER and node.subtree is not None]
        if saved.program == restic_of_debian():
            nodes = [node for node in nodes if node.name != b"link to bad bytes"]
        for node in nodes:
            assert encode_node(node) in data
        assert len(encode_tree(map(encode_node, nodes))) <= len(data)


def test_the_same_nodes_are_made_of_the_same_files(saved: Saved) -> None:
    """What is read from the file system is, but for content, what restic read."""
    with zone(ZONE):
        repository, tree = opened(saved.place)
        warnings: list[str] = []
        for theirs in repository.load_tree(tree):
            path = os.fsencode(saved.source) + b"/" + theirs.name
            ours = read_metadata(path, os.lstat(path), warnings.append)
            ours.content, ours.subtree = theirs.content, theirs.subtree
            if theirs.name != b"link to bad bytes" or saved.program != restic_of_debian():
                assert encode_node(ours) == encode_node(theirs)
        assert warnings == []


def test_a_subfolder_is_restored_without_what_is_above_it(saved: Saved, tmp_path: Path) -> None:
    """As SNAPSHOT:SUBFOLDER has it."""
    repository, tree = opened(saved.place)
    restore(repository, find_folder(repository, tree, b"/deep/er/"), tmp_path / "out")
    assert sorted(listing(tmp_path / "out")) == [b"/still", b"/still/there"]


def clutter(target: Path) -> None:
    """What stands in the way of a restore."""
    target.mkdir()
    (target / "plain.txt").write_bytes(b"other, and longer")
    (target / "<>&").write_bytes(b"y")
    os.utime(target / "<>&", ns=(0, 4_102_444_800 * 10**9))
    (target / "empty").symlink_to("/etc/passwd")
    (target / "large").write_bytes(b"z" * (2 << 20))
    (target / "link").write_bytes(b"no link")
    (target / "fifo").write_bytes(b"no fifo")
    (target / "deep").symlink_to("/tmp")
    (target / "closed").write_bytes(b"no folder")
    (target / "extra").write_bytes(b"unknown")
    (target / "sticky").mkdir(mode=0o700)
    (target / "sticky/unknown/deeper").mkdir(parents=True)
    (target / "sticky/unknown/deeper/link").symlink_to("/etc")
    os.link(target / "plain.txt", target / "holes")
    os.setxattr(target / "<>&", "user.stale", b"old")
    for path in (target, *target.rglob("*")):
        if not path.is_symlink() and path.name != "<>&":
            os.utime(path, ns=(0, 10**18))


CASES = [
    ("always", False),
    ("always", True),
    ("if-changed", False),
    ("if-newer", True),
]


@pytest.mark.parametrize("saved", ["newest"], indirect=True)
@pytest.mark.parametrize(("overwrite", "delete"), CASES)
def test_the_same_comes_out_as_with_restic(tmp_path: Path, overwrite: str, delete: bool, saved: Saved) -> None:
    """Into a folder that holds other things, with each policy; 0.14 has no such options."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    clutter(theirs)
    shutil.copytree(theirs, ours, symlinks=True)
    for name in ("<>&", "plain.txt", "sticky", "sticky/unknown"):
        status = (theirs / name).stat()
        os.utime(ours / name, ns=(status.st_atime_ns, status.st_mtime_ns))
    words = ["--overwrite", overwrite, "--include-xattr", "*", *(["--delete"] if delete else [])]
    run_restic(saved.program, saved.place, "restore", "latest", "--target", str(theirs), *words)
    repository, tree = opened(saved.place)
    said = restore(repository, tree, ours, overwrite=overwrite, delete=delete)
    assert said.errors == {}
    assert listing(ours) == listing(theirs)
    if delete:
        assert said.actions()[b"/extra"] == "deleted"


def test_never_leaves_what_is_there(saved: Saved, tmp_path: Path) -> None:
    """Also a file where a folder should be, which restic removes: it is named."""
    target = tmp_path / "out"
    clutter(target)
    before = listing(target)
    repository, tree = opened(saved.place)
    dry = restore(repository, tree, target, overwrite="never", dry_run=True)
    assert listing(target) == before
    said = restore(repository, tree, target, overwrite="never")
    assert set(said.errors) == set(dry.errors) == {b"/closed", b"/deep"}
    assert sorted(said.items) == sorted(dry.items)
    found = listing(target)
    for path, was in before.items():
        if path != b"/sticky":
            assert found[path] == was
    assert said.actions()[b"/plain.txt"] == "file unchanged"
    assert found[b"/1960"] == listing(saved.source)[b"/1960"]


def test_a_second_restore_finds_everything_unchanged(saved: Saved, tmp_path: Path) -> None:
    """Content is compared, not written; what was changed by hand is set right again, from the rest of the file."""
    repository, tree = opened(saved.place)
    restore(repository, tree, tmp_path / "out")
    inode = (tmp_path / "out/large").stat().st_ino
    said = restore(repository, tree, tmp_path / "out")
    assert said.errors == {}
    assert {action for action, _, _ in said.items} == {
        "file unchanged",
        "dir restored",
        "other restored",
        "file restored",
    }
    assert (tmp_path / "out/large").stat().st_ino == inode
    with (tmp_path / "out/large").open("r+b") as file:
        file.seek(3 << 20)
        file.write(b"changed")
    (tmp_path / "out/plain.txt").chmod(0)
    said = restore(repository, tree, tmp_path / "out")
    updated = {path for path, action in said.actions().items() if action == "file updated"}
    assert updated <= {b"/large", b"/deep/large"} and len(updated) == 1
    wanted = expected(saved)
    found = listing(tmp_path / "out")
    assert {path: found.get(path) for path in wanted} == wanted
