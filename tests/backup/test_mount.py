"""A repository as a file system of the real kernel."""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backup.format.keyfile import Cost
from backup.format.snapshot import Snapshot
from backup.mount import Cache, arrange, mount
from backup.repository.opening import open_repository
from backup.repository.repository import Repository
from backup.stores.local import LocalStore
from kit.errors import HostwardError
from tests.peers import newest_restic
from tests.require import require, require_program, require_root

MEGABYTE = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was saved."""
    root = tmp_path_factory.mktemp("source")
    (root / "folder").mkdir(mode=0o750)
    (root / "folder" / "big").write_bytes(b"".join(bytes([each]) + MEGABYTE for each in range(9)))
    (root / "small").write_bytes(b"hello")
    (root / "empty").write_bytes(b"")
    (root / "link").symlink_to("folder/big")
    os.mkfifo(root / "fifo", 0o600)
    Path(os.fsdecode(os.fsencode(root) + b"/odd \xff\n")).write_bytes(b"odd")
    os.chown(root / "small", 12, 34)
    (root / "small").chmod(0o4711)
    os.utime(root / "small", ns=(10**18, 10**18 + 7))
    return root


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    """Two snapshots by restic."""
    require_root()
    folder = tmp_path_factory.mktemp("repository") / "r"
    Repository.create(LocalStore(folder), b"x", cost=Cost(2, 1, 1))
    environment = {"PATH": os.environ["PATH"], "RESTIC_PASSWORD": "x", "TZ": "UTC"}
    command = [newest_restic(), "--no-cache", "-r", folder, "backup", "-q", "--host", "h", "--tag", "a/b,c", source]
    for when in ("2024-05-06 10:00:00", "2024-05-06 11:00:00"):
        subprocess.run([*command, "--time", when], env=environment, check=True)
    return folder


@pytest.fixture
def mounted(tmp_path: Path, repository: Path) -> Iterator[Path]:
    """The repository, mounted by a process of its own; unmounted whatever happens."""
    require(Path("/dev/fuse").exists(), "/dev/fuse")
    umount = require_program("umount")
    point = tmp_path / "point"
    point.mkdir()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(repository, point))
    process.start()
    try:
        deadline = time.monotonic() + 60
        while not point.is_mount():
            assert process.is_alive(), "the mount ended"
            assert time.monotonic() < deadline, "still not mounted"
            time.sleep(0.02)
        yield point
    finally:
        subprocess.run([umount, "--lazy", point], check=False, capture_output=True)
        process.join(30)
        process.kill()
        process.join()


def serve(repository: Path, point: Path) -> None:
    """What the command does."""
    opened = open_repository(LocalStore(repository), b"x")
    mount(opened, opened.snapshots(), point)


def names_in(folder: Path) -> list[str]:
    """Sorted."""
    return sorted(each.name for each in folder.iterdir())


def test_all_that_was_saved_is_there(mounted: Path, source: Path) -> None:
    """Names, contents, modes, owners, times and links, as the kernel gives them."""
    assert names_in(mounted) == ["hosts", "ids", "snapshots", "tags"]
    names = ["2024-05-06T10:00:00Z", "2024-05-06T11:00:00Z", "latest"]
    for folder in (mounted / "snapshots", mounted / "hosts" / "h", mounted / "tags" / "a_b", mounted / "tags" / "c"):
        assert names_in(folder) == names
    assert (mounted / "snapshots" / "latest").readlink() == Path(names[1])
    assert len(names_in(mounted / "ids")) == 2
    saved = Path(f"{mounted}/snapshots/latest{source}")
    assert names_in(saved) == names_in(source)
    for path in source.rglob("*"):
        shown, was = os.lstat(saved / path.relative_to(source)), os.lstat(path)
        assert (shown.st_mode, shown.st_uid, shown.st_gid, shown.st_mtime_ns) == (
            was.st_mode, was.st_uid, was.st_gid, was.st_mtime_ns,
        )  # fmt: skip
        if path.is_symlink():
            assert (saved / path.relative_to(source)).readlink() == path.readlink()
        elif path.is_file():
            assert (saved / path.relative_to(source)).read_bytes() == path.read_bytes()


def test_parts_of_a_file(mounted: Path, source: Path) -> None:
    """Wherever reading begins, and over the ends of blobs."""
    expected = (source / "folder/big").read_bytes()
    with open(f"{mounted}/snapshots/latest{source}/folder/big", "rb", buffering=0) as file:
        for offset in (0, 5, 1 << 20, len(expected) - 3, len(expected), len(expected) + 10, 3_000_000):
            assert os.pread(file.fileno(), 200_000, offset) == expected[offset : offset + 200_000]


def test_nothing_can_be_written(mounted: Path, source: Path) -> None:
    """The file system is read-only, and what is not there is not there."""
    saved = Path(f"{mounted}/snapshots/latest{source}")
    for change in ((saved / "small").unlink, (saved / "new").mkdir, (mounted / "new").mkdir):
        with pytest.raises(OSError) as caught:
            change()
        assert caught.value.errno == errno.EROFS
    with pytest.raises(FileNotFoundError):
        os.lstat(saved / "nothing")
    with pytest.raises(NotADirectoryError):
        os.lstat(saved / "small" / "nothing")


def test_damage_is_an_error_of_input(mounted: Path, repository: Path, source: Path) -> None:
    """What cannot be verified is not shown; the rest is."""
    packs = list((repository / "data").rglob("*"))
    kept = {pack: pack.read_bytes() for pack in packs if pack.is_file()}
    saved = Path(f"{mounted}/snapshots/latest{source}")
    assert names_in(saved)
    try:
        for pack in kept:
            pack.unlink()
        with pytest.raises(OSError) as caught:
            (saved / "small").read_bytes()
        assert caught.value.errno == errno.EIO
        assert (saved / "empty").read_bytes() == b""
    finally:
        for pack, content in kept.items():
            pack.write_bytes(content)


def test_names_of_folders(repository: Path) -> None:
    """Snapshots of one second are told apart; hosts and tags that cannot be names are left out."""
    [first, second] = open_repository(LocalStore(repository), b"x").snapshots()
    twin = replace(first, id="ff" * 32, tags=("..", ""), hostname="x" * 300)
    root = arrange([first, second, twin])
    assert len(root[b"snapshots"]) == 4  # type: ignore[arg-type]
    assert b"2024-05-06T10:00:00Z-1" in root[b"snapshots"]  # type: ignore[operator]
    assert list(root[b"hosts"]) == [b"h"]  # type: ignore[arg-type]
    assert sorted(root[b"tags"]) == [b"a_b", b"c"]  # type: ignore[arg-type, type-var]
    assert isinstance(root[b"snapshots"][b"2024-05-06T11:00:00Z"], Snapshot)  # type: ignore[index, call-overload]
    assert arrange([])[b"snapshots"] == {}


def test_a_cache_keeps_what_was_used_last() -> None:
    """Up to its weight, and always the last one."""
    loaded: list[str] = []

    def load(key: str) -> str:
        loaded.append(key)
        return key

    cache = Cache(load, len, 4)
    assert [cache[key] for key in ("aa", "bb", "aa", "cc", "aa", "bb", "dddddd", "dddddd", "aa")][-1] == "aa"
    assert loaded == ["aa", "bb", "cc", "bb", "dddddd", "aa"]


def test_a_point_that_is_no_folder(tmp_path: Path, repository: Path) -> None:
    """Is refused in a sentence."""
    with pytest.raises(HostwardError, match="is no folder"):
        mount(open_repository(LocalStore(repository), b"x"), [], tmp_path / "nowhere")
