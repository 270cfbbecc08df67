"""Snapshots beside those of the real restic: the same trees, in both directions."""

from __future__ import annotations

import os
import random
import socket
import subprocess
from pathlib import Path

import pytest

from backup.archive.scope import Scope
from backup.select.filters import CACHE_MARK, Mark
from tests.backup.archive.ground import Ground
from tests.peers import newest_restic
from tests.require import require_root


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of every kind that can be made without being root, in the folder `source` of the working folder.

    Saved under that relative name, no folder above it, which others may change, is in the snapshot.
    """
    monkeypatch.chdir(tmp_path)
    top = tmp_path / "source"
    (top / "folder" / "inner").mkdir(parents=True)
    (top / "empty folder").mkdir(mode=0o700)
    (top / "text").write_bytes(b"a line of text\n" * 20_000)
    (top / "big").write_bytes(random.Random(1).randbytes(9 << 20))
    (top / "middle").write_bytes(random.Random(2).randbytes(3 << 20))
    (top / "empty").touch(mode=0o600)
    (top / "folder" / "copy").write_bytes(b"a line of text\n" * 20_000)
    (top / "folder" / "inner" / "old").write_bytes(b"old")
    os.utime(top / "folder" / "inner" / "old", ns=(1, -123_456_789_012_345_678))
    with (top / "sparse").open("wb") as file:
        file.write(b"begin")
        file.truncate(40 << 20)
        file.seek(30 << 20)
        file.write(b"end")
    (top / "link").symlink_to("folder/../nowhere")
    os.link(top / "text", top / "hard")
    os.mkfifo(top / "pipe")
    for name in (b"\xff\xfe bad", b'quote" back\\slash', b"new\nline", "öäü \u2028 €".encode(), b"<&>", b"x" * 255):
        (top / "folder" / os.fsdecode(name)).write_bytes(name)
    listening = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(top)  # the path of a socket must be short
    listening.bind("socket")
    listening.close()
    monkeypatch.chdir(tmp_path)
    return top


def test_restic_takes_what_we_saved(ground: Ground, source: Path, program: Path, tmp_path: Path) -> None:
    """Its check reads everything, its restore gives the same files, and its backup on top finds nothing changed."""
    outcome = ground.save("source", tags=("one", "two"))
    assert not outcome.problems and outcome.snapshot.id
    ground.restic(program, "check", "--read-data")
    ground.restic(program, "restore", "latest", "--target", tmp_path / "restored")
    done = subprocess.run(
        ["rsync", "-naicAXH", "--delete", f"{source}/", f"{tmp_path}/restored/source/"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line for line in done.stdout.splitlines() if not line.endswith(" socket")] == []
    summary = ground.restic_saves(program, "source")
    if program == newest_restic():
        assert (summary["files_new"], summary["files_changed"], summary["data_blobs"]) == (0, 0, 0)
        assert summary["tree_blobs"] == 0, "trees have the bytes of restic's"
    else:
        assert (summary["files_new"], summary["files_changed"], summary["data_blobs"]) == (0, 0, 0)


def test_we_take_what_restic_saved(ground: Ground, source: Path, program: Path) -> None:
    """A backup by us on top of restic's reads no file again, and of the newest keeps even the tree."""
    ground.restic_saves(program, "source")
    outcome = ground.save("source")
    summary = outcome.summary
    assert (summary.files_new, summary.files_changed, summary.data_blobs) == (0, 0, 0)
    assert outcome.snapshot.parent is not None
    if program == newest_restic():
        assert (summary.tree_blobs, summary.dirs_changed, summary.dirs_new) == (0, 0, 0)
    ground.restic(program, "check", "--read-data")


def test_the_summary_is_restics(ground: Ground, source: Path, tmp_path: Path) -> None:
    """First, unchanged and changed, restic counts what we count."""
    theirs = Ground(tmp_path / "theirs")

    def both() -> None:
        told = theirs.restic_saves(newest_restic(), "source")
        ours = ground.save("source", cached=True).summary
        for name in ("files_new", "files_changed", "files_unmodified", "dirs_new", "dirs_changed", "dirs_unmodified"):
            assert getattr(ours, name) == told[name], name
        for name in ("tree_blobs", "total_files_processed", "total_bytes_processed"):
            assert getattr(ours, name) == told[name], name

    both()
    both()
    (source / "folder" / "inner" / "old").write_bytes(b"new")
    (source / "folder" / "added").write_bytes(b"added")
    (source / "text").chmod(0o640)
    (source / "empty").unlink()
    both()


@pytest.mark.parametrize(
    "words",
    [
        ("a/b", "a/c"),
        (".",),
        ("a",),
        ("../other", "a"),
        ("../other", "other"),
        ("a", "a/b/d"),
        ("a/b/d", "a"),
        ("a/b/f",),
        ("a/b/d", "../other/x", "a/c/f"),
        ("./a//b/",),
    ],
    ids=" ".join,
)
def test_targets_lie_where_restic_puts_them(
    ground: Ground, tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absolute, relative, nested and colliding targets give the same paths in the snapshot and the same tree."""
    top = tmp_path / "top"
    for name in ("a/b/d/deep", "a/b/f", "a/c/f", "other/nine", "../other/x"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)
    monkeypatch.chdir(top)
    ground.restic_saves(newest_restic(), *words, cwd=top)
    outcome = ground.save(*words)
    assert outcome.snapshot.parent is not None, "the paths are those of restic's snapshot"
    assert outcome.summary.tree_blobs == 0, "the trees are those of restic's snapshot"
    absolute = [os.path.abspath(word) for word in words]  # noqa: PTH100  # without a look at links
    ground.restic_saves(newest_restic(), *absolute)
    listed = ground.restic(newest_restic(), "ls", "latest").splitlines()[1:]
    assert sorted(listed) == sorted(os.fsdecode(path) for path in ground.files(ground.save(*absolute)))


SCOPES = [
    (["--exclude", "*.o"], Scope(patterns=(b"*.o",))),
    (["--exclude", "a"], Scope(patterns=(b"a",))),
    (["--iexclude", "UPPER"], Scope(insensitive=(b"UPPER",))),
    (["--exclude", "inner", "--exclude", "!inner/keep"], Scope(patterns=(b"inner", b"!inner/keep"))),
    (["--exclude-larger-than", "1000"], Scope(larger_than=1000)),
    (["--exclude-caches"], Scope(marks=(CACHE_MARK,))),
    (["--exclude-if-present", ".nobackup"], Scope(marks=(Mark(b".nobackup"),))),
    (["--exclude-if-present", ".nobackup:yes"], Scope(marks=(Mark(b".nobackup", b"yes"),))),
    (["--one-file-system"], Scope(one_file_system=True)),
]


@pytest.mark.parametrize(("words", "scope"), SCOPES, ids=[" ".join(words) for words, _ in SCOPES])
def test_the_same_is_left_out(
    ground: Ground, tmp_path: Path, words: list[str], scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patterns, sizes and marks leave out what restic leaves out."""
    top = tmp_path / "a"
    for name, content in {
        "x.o": "1", "x.c": "2", "Upper/file": "3", "inner/keep": "4", "inner/drop": "5", "big": "6" * 1001,
        "edge": "7" * 1000, "cache/CACHEDIR.TAG": "Signature: 8a477f597d28d172789f06886806bc55\nmore",
        "cache/deep/data": "8", "notcache/CACHEDIR.TAG": "Signature: none", "notcache/data": "9",
        "marked/.nobackup": "yes", "marked/data": "10", "other/.nobackup": "no", "other/sub/data": "11",
    }.items():  # fmt: skip
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    ground.restic_saves(newest_restic(), *words, "a")
    assert ground.save("a", scope=scope).summary.tree_blobs == 0
    # A cache of folders changes nothing of it.
    for _ in range(2):
        assert ground.save("a", scope=scope, cached=True).summary.tree_blobs == 0


@pytest.mark.root
def test_other_file_systems_are_left_out(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a mount within a target only the empty folder is saved, unless it is a target itself."""
    require_root()
    top = tmp_path / "top"
    (top / "mount").mkdir(parents=True)
    (top / "file").write_text("on this")
    subprocess.run(["mount", "-t", "tmpfs", "none", top / "mount"], check=True)
    try:
        (top / "mount" / "file").write_text("on that")
        monkeypatch.chdir(tmp_path)
        for targets in (["top"], ["top", "top/mount"], ["top/mount"]):
            ground.restic_saves(newest_restic(), "-x", *targets)
            assert ground.save(*targets, scope=Scope(one_file_system=True)).summary.tree_blobs == 0
    finally:
        subprocess.run(["umount", top / "mount"], check=True)
