"""Dumps: a file's bytes; a folder as an archive that GNU tar and zipfile read, and that is never whole by mistake."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from backup.errors import RepositoryError
from backup.format.node import FOLDER, SYMLINK, Node
from backup.format.pack import BlobKind
from backup.repository.repository import Repository
from backup.restore.dump import Archive, dump
from backup.stores.contract import FileKind
from backup.stores.local import LocalStore
from tests.backup.restore.making import CHEAP, PASSWORD, TIME, Made, fill, listing, opened, run_restic
from tests.peers import newest_restic
from tests.require import require_program, require_root


def dumped(repository: Repository, tree: bytes, path: bytes, archive: Archive = Archive.TAR) -> bytes:
    """What is written."""
    out = io.BytesIO()
    dump(repository, tree, path, out, archive)
    return out.getvalue()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with everything in it, and a repository that restic saved it to."""
    require_root()
    base = tmp_path_factory.mktemp("saved")
    (base / "source").mkdir()
    fill(base / "source")
    Repository.create(LocalStore(base / "repository"), PASSWORD, cost=CHEAP)
    run_restic(newest_restic(), base / "repository", "backup", ".", cwd=base / "source")
    return base / "source", base / "repository"


def test_tar_unpacks_all(saved: tuple[Path, Path], tmp_path: Path) -> None:
    """By GNU tar, with times to the nanosecond, attributes, hard links, devices and names of any bytes."""
    source, place = saved
    tar = require_program("tar")
    data = dumped(*opened(place), b"/")
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(
        [tar, "-C", out, "--xattrs", "--xattrs-include=*", "--same-owner", "-xpf", "-"],
        input=data,
        check=True,
        stderr=subprocess.DEVNULL,
    )
    assert listing(out) == listing(source)


def test_a_folder_keeps_its_path(saved: tuple[Path, Path]) -> None:
    """As restic has it; Python's reader finds the end of the archive."""
    repository, tree = opened(saved[1])
    with tarfile.open(fileobj=io.BytesIO(dumped(repository, tree, b"/deep/er/."))) as archive:
        assert archive.getnames() == ["deep/er/still", "deep/er/still/there"]
        there = archive.extractfile("deep/er/still/there")
        assert there is not None and there.read() == b"deep down"
    theirs = subprocess.run(
        [newest_restic(), "--no-cache", "-r", saved[1], "dump", "latest", "/deep/er"],
        env={**os.environ, "RESTIC_PASSWORD": PASSWORD.decode()},
        capture_output=True,
        check=True,
    )
    with tarfile.open(fileobj=io.BytesIO(theirs.stdout)) as archive:
        assert archive.getnames() == ["deep/er/still", "deep/er/still/there"]


def test_a_file_is_its_content(saved: tuple[Path, Path]) -> None:
    """And nothing more."""
    repository, tree = opened(saved[1])
    assert dumped(repository, tree, b"/deep/../large") == (saved[0] / "large").read_bytes()
    assert dumped(repository, tree, b"empty") == b""


def test_zip_holds_files_folders_and_links(saved: tuple[Path, Path]) -> None:
    """With modes; written to a pipe, which nobody can go back in."""
    source, place = saved
    data = dumped(*opened(place), b"/", Archive.ZIP)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.read("large") == (source / "large").read_bytes()
        assert archive.read("link") == b"/etc/passwd"
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
        assert modes["setuid"] == stat.S_IFREG | 0o4755
        assert modes["sticky/"] == stat.S_IFDIR | 0o1777
        assert stat.S_ISLNK(modes["link"])
        assert "fifo" not in modes and "bad\\xff\\xfeutf" in modes
        assert archive.getinfo("2100").date_time == (2100, 1, 1, 0, 0, 0)


@pytest.mark.parametrize("path", [b"/nowhere", b"/plain/below", b"/link", b"/folder/none"])
def test_what_cannot_be_dumped_is_said(path: bytes) -> None:
    """What is not there, lies in a file, or has no content."""
    made = Made()
    tree = made.tree(
        made.folder(b"folder"), Node(b"link", SYMLINK, mtime=TIME, linktarget=b"x"), made.file(b"plain", b"x")
    )
    with pytest.raises(RepositoryError) as caught:
        dumped(made.repository, tree, path)
    assert path.decode().rpartition("/")[2] in str(caught.value) or "/plain" in str(caught.value)


@pytest.mark.parametrize("archive", list(Archive))
@pytest.mark.parametrize("harm", ["missing", "size", "tree"])
def test_what_is_damaged_leaves_no_whole_archive(archive: Archive, harm: str) -> None:
    """Who reads it sees that it ends too early."""
    made = Made()
    bad = made.file(b"bad", b"content", size=9 if harm == "size" else 7)
    if harm == "missing":
        bad.content = [bytes(32)]
    elif harm == "tree":
        bad = Node(b"bad", FOLDER, 1 << 31 | 0o755, TIME)
    tree = made.tree(made.file(b"a", b"good"), bad)
    out = io.BytesIO()
    with pytest.raises(RepositoryError):
        dump(made.repository, tree, b"/", out, archive)
    if archive is Archive.ZIP:
        with pytest.raises(zipfile.BadZipFile):
            zipfile.ZipFile(io.BytesIO(out.getvalue()))
    else:
        assert not out.getvalue().endswith(bytes(1024))


def test_a_flipped_bit_ends_a_dump() -> None:
    """Before what is wrong is written."""
    made = Made()
    pieces = [os.urandom(5000), os.urandom(5000)]
    tree = made.tree(made.file(b"file", *pieces))
    place = made.repository.blobs.find(BlobKind.DATA, made.blobs(pieces[1])[0])
    assert place is not None
    stored = bytearray(made.repository.store.load(FileKind.PACK, place.pack.hex()))
    stored[place.offset + 100] ^= 1
    made.repository.store.save(FileKind.PACK, place.pack.hex(), bytes(stored))
    out = io.BytesIO()
    with pytest.raises(RepositoryError):
        dump(made.repository, tree, b"/file", out)
    assert out.getvalue() == pieces[0]


def test_a_tar_has_links_only_to_the_same_content() -> None:
    """A file that got the inode of another while the backup ran is written out, not linked to that one."""
    made = Made()
    linked = {"links": 2, "inode": 7, "device_id": 1}
    tree = made.tree(
        made.file(b"first", b"one", **linked),
        made.file(b"other", b"two", **linked),
        made.file(b"same", b"one", **linked),
    )
    with tarfile.open(fileobj=io.BytesIO(dumped(made.repository, tree, b"/"))) as archive:
        assert {info.name: info.linkname for info in archive} == {"first": "", "other": "", "same": "first"}
        contents = {info.name: archive.extractfile(info) for info in archive}
        assert {name: entry.read() for name, entry in contents.items() if entry is not None} == {
            "first": b"one",
            "other": b"two",
            "same": b"one",
        }


def test_a_path_that_no_zip_can_hold_is_named() -> None:
    """Bytes that are no UTF-8 take four times their length there; the archive is not whole."""
    made = Made()
    node = made.file(b"file", b"content")
    for _ in range(70):
        node = made.folder(b"\xff" * 250, node)
    with pytest.raises(RepositoryError, match="deeper than a zip can say"):
        dumped(made.repository, made.tree(node), b"/", Archive.ZIP)
    assert dumped(made.repository, made.tree(node), b"/")
