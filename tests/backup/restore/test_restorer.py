"""What a restore does and says, by its options."""

from __future__ import annotations

import grp
import os
import pwd
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backup.errors import RepositoryError
from backup.format.node import SYMLINK, Node
from backup.restore import restorer
from backup.restore.locate import find_folder
from backup.restore.options import all_but, only, only_paths
from backup.select.filters import Excludes, Includes
from tests.backup.restore.making import TIME, Made, listing, restore
from tests.require import require_root


@pytest.fixture
def made() -> Made:
    """An empty repository."""
    return Made()


def small(made: Made) -> bytes:
    """A tree of two folders, three files and a link."""
    return made.tree(
        made.folder(b"a", made.file(b"one", b"1"), made.file(b"two", b"2", b"2")),
        made.folder(b"b", made.folder(b"c", made.file(b"three", b"333"))),
        Node(b"link", SYMLINK, mtime=TIME, atime=TIME, linktarget=b"a"),
    )


def names(target: Path) -> list[str]:
    """What is in a folder, at every depth."""
    return sorted(str(path.relative_to(target)) for path in target.rglob("*"))


def test_a_dry_run_says_the_same_and_does_nothing(made: Made, tmp_path: Path) -> None:
    """Into nothing, and into what is there already."""
    tree = small(made)
    said = restore(made.repository, tree, tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    assert sorted(said.items) == sorted(restore(made.repository, tree, tmp_path / "out").items)
    (tmp_path / "out/a/one").write_bytes(b"x")
    (tmp_path / "out/a/extra").touch()
    (tmp_path / "out/b/c/three").unlink()
    before = listing(tmp_path / "out")
    dry = restore(made.repository, tree, tmp_path / "out", dry_run=True, delete=True)
    assert listing(tmp_path / "out") == before
    real = restore(made.repository, tree, tmp_path / "out", delete=True)
    assert sorted(dry.items) == sorted(real.items)
    assert real.actions() == {
        b"/a": "dir restored",
        b"/a/extra": "deleted",
        b"/a/one": "file updated",
        b"/a/two": "file unchanged",
        b"/b": "dir restored",
        b"/b/c": "dir restored",
        b"/b/c/three": "file restored",
        b"/link": "other restored",
    }
    for progress in (dry.progress, real.progress):
        assert (progress.files, progress.files_done, progress.files_skipped) == (7, 6, 1)
        assert (progress.bytes, progress.bytes_done, progress.bytes_skipped, progress.deleted) == (4, 4, 2, 1)


def test_only_what_is_selected_is_restored_and_deleted(made: Made, tmp_path: Path) -> None:
    """By patterns of either kind, and by paths."""
    tree = small(made)
    assert restore(made.repository, tree, tmp_path / "1", select=all_but(Excludes([b"/a", b"link"]))).errors == {}
    assert names(tmp_path / "1") == ["b", "b/c", "b/c/three"]
    restore(made.repository, tree, tmp_path / "2", select=only(Includes([b"/b/c"])))
    assert names(tmp_path / "2") == ["b", "b/c", "b/c/three"]
    assert (tmp_path / "2/b").stat().st_mtime_ns == (tmp_path / "1/b").stat().st_mtime_ns
    restore(made.repository, tree, tmp_path / "3", select=only_paths([b"/a/two", b"/link"]))
    assert names(tmp_path / "3") == ["a", "a/two", "link"]
    (tmp_path / "1/b/kept.log").touch()
    (tmp_path / "1/b/gone.txt").touch()
    said = restore(made.repository, tree, tmp_path / "1", select=all_but(Excludes([b"*.log", b"/a"])), delete=True)
    assert said.progress.deleted == 1
    assert names(tmp_path / "1") == ["b", "b/c", "b/c/three", "b/kept.log", "link"]


def test_owners_go_by_number_or_by_name(made: Made, tmp_path: Path) -> None:
    """By name only where this host has the name."""
    require_root()
    user, group = pwd.getpwnam("daemon"), grp.getgrnam("daemon")
    tree = made.tree(
        made.file(b"known", b"x", uid=4242, gid=4243, user="daemon", group="daemon", mode=1 << 23 | 0o755),
        made.file(b"unknown", b"x", uid=4242, gid=4243, user="no-such-user", group="no-such-group"),
    )
    restore(made.repository, tree, tmp_path / "number")
    restore(made.repository, tree, tmp_path / "name", owners_by_name=True)
    for place, name, owner in (
        ("number", "known", (4242, 4243)),
        ("number", "unknown", (4242, 4243)),
        ("name", "known", (user.pw_uid, group.gr_gid)),
        ("name", "unknown", (4242, 4243)),
    ):
        status = (tmp_path / place / name).stat()
        assert (status.st_uid, status.st_gid) == owner
    assert (tmp_path / "name/known").stat().st_mode & 0o7777 == 0o4755


def test_hard_links_are_made_anew_where_they_were_cut(made: Made, tmp_path: Path) -> None:
    """Also when the file itself is right already."""
    one = made.file(b"one", b"same", links=2, inode=7, device_id=3)
    tree = made.tree(
        one, made.file(b"other", b"same", links=1), made.file(b"two", b"same", links=2, inode=7, device_id=3)
    )
    target = tmp_path / "out"
    restore(made.repository, tree, target)
    assert (target / "one").samefile(target / "two") and not (target / "one").samefile(target / "other")
    (target / "two").unlink()
    (target / "two").write_bytes(b"apart")
    assert restore(made.repository, tree, target).errors == {}
    assert (target / "one").samefile(target / "two")
    assert (target / "one").stat().st_nlink == 2


def test_files_that_only_share_a_number_are_not_linked(made: Made, tmp_path: Path) -> None:
    """What has other content stays a file of its own, whatever its inode is said to be."""
    tree = made.tree(
        made.file(b"one", b"1", links=2, inode=7),
        made.file(b"three", b"1", links=2, inode=7),
        made.file(b"two", b"2", links=2, inode=7),
    )
    assert restore(made.repository, tree, tmp_path / "out").errors == {}
    assert [(tmp_path / "out" / name).read_bytes() for name in ("one", "two", "three")] == [b"1", b"2", b"1"]
    assert (tmp_path / "out/one").samefile(tmp_path / "out/three")


def test_groups_are_the_snapshots_also_in_a_folder_that_hands_down_its_own(made: Made, tmp_path: Path) -> None:
    """A target with the setgid bit gives its group to what is made in it, and to folders the bit."""
    require_root()
    (tmp_path / "out").mkdir()
    os.chown(tmp_path / "out", 0, 4243)
    (tmp_path / "out").chmod(0o2755)
    restore(made.repository, small(made), tmp_path / "out")
    for name in ("a", "a/one", "b/c", "link"):
        status = (tmp_path / "out" / name).lstat()
        assert status.st_gid == (os.getegid() if name != "link" else 0)
        assert not status.st_mode & 0o2000


def test_what_was_written_is_verified(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that gives back other bytes is found out."""
    tree = small(made)
    said = restore(made.repository, tree, tmp_path / "good", verify=True)
    assert (said.errors, said.progress.verified) == ({}, 3)
    write = restorer.Writer.write_file

    def bad(self: restorer.Writer, file: restorer.File, content: bytes) -> list[str]:
        return write(self, file, b"?" if file.name == b"one" else content)

    monkeypatch.setattr(restorer.Writer, "write_file", bad)
    assert set(restore(made.repository, tree, tmp_path / "bad", verify=True).errors) == {b"/a/one"}


def test_attributes_that_are_not_selected_are_left_alone(made: Made, tmp_path: Path) -> None:
    """Neither set nor removed."""
    node = made.file(b"file", b"x", extended_attributes=[("user.a", b"1"), ("user.b", b"2")])
    tree = made.tree(node)
    restore(made.repository, tree, tmp_path, select_attribute=lambda name: name != "user.b")
    assert os.listxattr(tmp_path / "file") == ["user.a"]
    os.setxattr(tmp_path / "file", "user.b", b"kept")
    os.setxattr(tmp_path / "file", "user.c", b"gone")
    restore(made.repository, tree, tmp_path, select_attribute=lambda name: name != "user.b")
    assert {name: os.getxattr(tmp_path / "file", name) for name in os.listxattr(tmp_path / "file")} == {
        "user.a": b"1",
        "user.b": b"kept",
    }


def test_batches_follow_each_other(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders and hard links that span several come out right, whichever batch they end in."""
    monkeypatch.setattr(restorer, "_FIRST_BATCH", 2)
    monkeypatch.setattr(restorer, "_LAST_BATCH", 3)
    monkeypatch.setattr(restorer, "_INLINE_FILES", 0)
    files = [made.file(b"%03d" % number, b"%d" % number, b"parts" * (number % 3)) for number in range(20)]
    links = [made.file(b"l%d" % number, b"same", links=9, inode=7, device_id=3) for number in range(5)]
    tree = made.tree(*files[:3], made.folder(b"d", *links, made.folder(b"e", *files)), links[0])
    said = restore(made.repository, tree, tmp_path / "out", workers=2, verify=True)
    assert said.errors == {}
    for number in range(20):
        assert (tmp_path / f"out/d/e/{number:03d}").read_bytes() == b"%d" % number + b"parts" * (number % 3)
    assert (tmp_path / "out/l0").samefile(tmp_path / "out/d/l4")
    stamp = (tmp_path / "out/000").stat().st_mtime_ns
    assert all((tmp_path / "out" / name).stat().st_mtime_ns == stamp for name in ("d", "d/e", "d/e/019"))


def test_subfolders_are_found_or_said_to_be_missing(made: Made) -> None:
    """`SNAPSHOT:SUBFOLDER`."""
    tree = small(made)
    assert [node.name for node in made.repository.load_tree(find_folder(made.repository, tree, b"b//c/./"))] == [
        b"three"
    ]
    assert find_folder(made.repository, tree, b"/../") == tree
    with pytest.raises(RepositoryError, match=r"/b/x is not in the snapshot"):
        find_folder(made.repository, tree, b"/b/x")
    with pytest.raises(RepositoryError, match="no folder"):
        find_folder(made.repository, tree, b"/a/one")
    with pytest.raises(RepositoryError, match="no folder"):
        find_folder(made.repository, tree, b"/link/x")


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("target", ["file", "file/below"])
def test_a_target_that_is_a_file_is_refused_in_one_sentence(
    made: Made, tmp_path: Path, target: str, dry_run: bool
) -> None:
    """What stands there stays as it is."""
    file = tmp_path / "file"
    file.write_bytes(b"precious")
    with pytest.raises(RepositoryError, match=r": expected a folder to restore into; a file stands in its place or"):
        restore(made.repository, small(made), tmp_path / target, dry_run=dry_run)
    assert file.read_bytes() == b"precious"


def killed_while(condition: Callable[[], bool], restoring: Callable[[], object]) -> int:
    """Restore in a process that is killed as soon as the condition holds; its number."""
    pid = os.fork()
    if pid == 0:
        try:
            restoring()
        finally:
            os._exit(1)
    try:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            assert os.waitpid(pid, os.WNOHANG) == (0, 0)
            time.sleep(0.01)
    finally:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    return pid


def test_what_a_killed_restore_left_is_removed_by_the_next(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In folders that it writes to; regular files of exactly such names, and of no process that runs."""
    tree = made.tree(made.file(b"top", b"1", b"2"), made.folder(b"folder", made.file(b"parts", b"one", b"two")))
    target = tmp_path / "out"
    with monkeypatch.context() as patches:
        patches.setattr("backup.restore.contents.Contents._write_piece", lambda *_: signal.pause())
        killed = killed_while(
            lambda: len([*target.rglob(".hostward-*.tmp")]) == 2,
            lambda: restore(made.repository, tree, target, workers=1),
        )
    assert all(f"-{killed}-" in path.name for path in target.rglob(".hostward-*.tmp"))
    foreign = [
        f".hostward-0123abcd-{os.getpid()}-0.tmp",
        f".hostward-0123abcd-{killed}-0.tmp~",
        f".hostward-0123ABCD-{killed}-0.tmp",
        f"x.hostward-0123abcd-{killed}-0.tmp",
    ]
    for name in foreign:
        (target / "folder" / name).write_bytes(b"another's")
    link, folder = (target / f"folder/.hostward-0123abcd-{killed}-{number}.tmp" for number in (8, 9))
    link.symlink_to("parts")
    folder.mkdir()
    assert not restore(made.repository, tree, target).errors
    assert names(target / "folder") == sorted([*foreign, link.name, folder.name, "parts"])
    assert names(target) == sorted(["folder", *(f"folder/{name}" for name in names(target / "folder")), "top"])


def test_a_file_of_the_snapshot_is_no_leftover(made: Made, tmp_path: Path) -> None:
    """It may have been backed up where a restore had been killed."""
    name = f".hostward-0123abcd-{killed_while(lambda: True, signal.pause)}-0.tmp"
    tree = made.tree(made.file(name.encode(), b"content"))
    for _ in range(2):
        restore(made.repository, tree, tmp_path / "out")
    assert names(tmp_path / "out") == [name]


def test_a_dry_run_removes_no_leftovers(made: Made, tmp_path: Path) -> None:
    """Nor do files stay when their folder is restored in earnest."""
    leftover = tmp_path / f".hostward-0123abcd-{killed_while(lambda: True, signal.pause)}-0.tmp"
    leftover.write_bytes(b"half")
    restore(made.repository, small(made), tmp_path, dry_run=True)
    assert leftover.exists()
    restore(made.repository, small(made), tmp_path)
    assert not leftover.exists()
