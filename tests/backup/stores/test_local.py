"""A repository in a folder: modes, links, what a kill and a full disk leave, what restic makes of it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backup.stores import local
from backup.stores.contract import FileKind, FileMissingError, PermanentStoreError, SpooledFile, StoreError
from backup.stores.layout import path_of
from backup.stores.local import LocalStore
from backup.stores.spool import ABANDONED, PREFIX, clean_spool, open_spool
from tests.agent.tmpfs import small_disk
from tests.require import require, require_root


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "repository")
    store.create()
    return store


@pytest.fixture
def root(store: LocalStore) -> Path:
    return Path(store.location)


def name_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def spooled(store: LocalStore, content: bytes) -> SpooledFile:
    file, path = open_spool(store.spool_folder())
    with file:
        file.write(content)
    return SpooledFile(path, len(content))


def test_creates_the_folders_that_restic_creates(root: Path) -> None:
    """All are for their owner alone, with one for every first byte of a pack's name."""
    folders = {str(path.relative_to(root)) for path in root.rglob("*")}
    assert folders == {"data", "index", "keys", "locks", "snapshots"} | {f"data/{n:02x}" for n in range(256)}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*"))} == {0o700}


@pytest.mark.parametrize(("kind", "coherent"), [("ext4", True), ("nfs4", False), ("fuse.sshfs", False)])
def test_what_other_hosts_save_may_be_listed_late_on_network_file_systems(
    store: LocalStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, coherent: bool
) -> None:
    """It is what the locks lie on that counts, also behind a link."""
    (tmp_path / "elsewhere").mkdir()
    (root / "locks").rmdir()
    (root / "locks").symlink_to(tmp_path / "elsewhere")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"20 1 8:1 / / rw - xfs /dev/sda1 rw\n21 20 8:2 / {tmp_path / 'elsewhere'} rw - {kind} what rw\n"
    )
    monkeypatch.setattr(local, "_MOUNTS", mounts)
    assert store.is_coherent() is coherent
    mounts.unlink()
    assert not store.is_coherent()


def test_a_folder_that_is_used_for_something_else_becomes_no_repository(tmp_path: Path) -> None:
    """As /etc. What an empty disk has, and what a `create` that was ended left, is in nobody's way."""
    (tmp_path / "lost+found").mkdir()
    LocalStore(tmp_path).create()
    LocalStore(tmp_path).create()
    for other in (tmp_path / "data" / "mine", tmp_path / "hosts"):
        other.touch()
        with pytest.raises(PermanentStoreError, match=f"{tmp_path} is not empty, it has {other.name}: expected"):
            LocalStore(tmp_path).create()
    used = tmp_path / "etc"
    used.mkdir()
    (used / "hosts").touch()
    with pytest.raises(PermanentStoreError, match="is not empty"):
        LocalStore(used).create()
    assert [*used.iterdir()] == [used / "hosts"]


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    """Not as a path that lies in it."""
    (tmp_path / "file").touch()
    with pytest.raises(PermanentStoreError, match=f"^{tmp_path}/file is no folder$"):
        LocalStore(tmp_path / "file" / "x").size(FileKind.CONFIG, "config")


def test_files_are_read_only_and_where_restic_looks(store: LocalStore, root: Path) -> None:
    """A pack lies in the folder of its first two digits; nobody but the owner can read it, nobody can write it."""
    name = name_of(b"pack")
    store.save(FileKind.PACK, name, b"pack")
    path = root / "data" / name[:2] / name
    assert path.read_bytes() == b"pack"
    assert stat.S_IMODE(path.stat().st_mode) == 0o400


def test_a_group_that_may_read_config_may_read_all(store: LocalStore, root: Path) -> None:
    """As restic has it: who shares a repository with a group gives its config to the group."""
    store.save(FileKind.CONFIG, "config", b"c")
    (root / "config").chmod(0o440)
    name = name_of(b"key")
    LocalStore(root).save(FileKind.KEY, name, b"key")
    assert stat.S_IMODE((root / "keys" / name).stat().st_mode) == 0o440


def test_a_spooled_file_is_moved_not_copied(store: LocalStore, root: Path) -> None:
    """Its inode is the same afterwards, so that a pack is written once."""
    file = spooled(store, b"x" * 1000)
    inode = file.path.stat().st_ino
    name = name_of(b"x" * 1000)
    store.save(FileKind.PACK, name, file)
    assert (root / "data" / name[:2] / name).stat().st_ino == inode


def test_a_spooled_file_of_another_file_system_is_copied(store: LocalStore, root: Path) -> None:
    """A spool elsewhere (/dev/shm is one of its own here) takes longer and does as well."""
    shared = Path("/dev/shm")
    require(shared.is_dir() and shared.stat().st_dev != root.stat().st_dev, "a file system of its own at /dev/shm")
    file, path = open_spool(shared)
    with file:
        file.write(b"elsewhere")
    name = name_of(b"elsewhere")
    try:
        store.save(FileKind.PACK, name, SpooledFile(path, 9))
        assert not path.exists()
    finally:
        path.unlink(missing_ok=True)
    assert store.load(FileKind.PACK, name) == b"elsewhere"
    assert [entry.name for entry in (root / "data" / name[:2]).iterdir()] == [name]


def test_a_link_under_a_name_that_is_written_is_replaced(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """Whoever planted it does not have another file overwritten."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    name = name_of(b"key")
    (root / "keys" / name).symlink_to(victim)
    store.save(FileKind.KEY, name, b"key")
    assert victim.read_bytes() == b"precious"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o644
    assert store.load(FileKind.KEY, name) == b"key"


def test_a_link_for_config_is_not_written_through(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """It counts as a config that is there."""
    (root / "config").symlink_to(tmp_path / "nowhere")
    with pytest.raises(PermanentStoreError):
        store.save(FileKind.CONFIG, "config", b"c")
    assert not (tmp_path / "nowhere").exists()


def test_a_link_for_the_spool_folder_is_refused(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """Else files would be made in a folder of somebody else's choice."""
    (tmp_path / "elsewhere").mkdir()
    (root / "tmp").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermanentStoreError, match="symbolic link"):
        store.save(FileKind.KEY, name_of(b"key"), b"key")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_is_no_regular_file_is_neither_listed_nor_read(store: LocalStore, root: Path, tmp_path: Path) -> None:
    """A link, a pipe (which would be waited for) and a folder under names of files."""
    link, pipe, folder = (name_of(bytes([number])) for number in range(3))
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "keys" / link).symlink_to(tmp_path / "secret")
    os.mkfifo(root / "keys" / pipe)
    (root / "keys" / folder).mkdir()
    assert list(store.list(FileKind.KEY)) == []
    for name in (link, pipe, folder):
        with pytest.raises(StoreError):
            store.load(FileKind.KEY, name)


@pytest.mark.parametrize("failure", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("way", ["bytes", "spooled"])
def test_a_full_disk_leaves_nothing(
    store: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch, failure: int, way: str
) -> None:
    """What did not fit is not there, not even in part; that it will not fit the next time either is said."""
    content: bytes | SpooledFile = spooled(store, b"pack") if way == "spooled" else b"pack"

    def full(descriptor: int) -> None:
        raise OSError(failure, os.strerror(failure))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(PermanentStoreError, match=os.strerror(failure)):
            store.save(FileKind.PACK, name_of(b"pack"), content)
    left = [path for path in root.rglob("*") if path.is_file()]
    assert left == ([content.path] if isinstance(content, SpooledFile) else [])


def test_a_really_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A file system of 1 MiB that is filled: as above, by the kernel itself."""
    require_root()
    with small_disk(tmp_path / "disk", size="1m") as disk:
        store = LocalStore(disk / "repository")
        store.create()
        with pytest.raises(PermanentStoreError, match="No space left"):
            store.save(FileKind.PACK, name_of(b"x"), b"x" * (2 << 20))
        assert [path for path in disk.rglob("*") if path.is_file()] == []
        store.save(FileKind.PACK, name_of(b"x"), b"x" * 1000)


@pytest.mark.parametrize("kind", FileKind)
def test_a_file_without_end_is_not_read(store: LocalStore, root: Path, kind: FileKind) -> None:
    """One with holes costs whoever planted it nothing."""
    name = "config" if kind is FileKind.CONFIG else name_of(b"")
    path = root / path_of(kind, name)
    with path.open("wb") as file:
        file.truncate(1 << 43)
    with pytest.raises(PermanentStoreError, match="expected at most"):
        store.load(kind, name)
    assert store.load(kind, name, 1 << 42, 10) == bytes(10)


def x_to_save(way: str, store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes | SpooledFile:
    """An x in memory, spooled in the store, or elsewhere as on another file system."""
    if way not in ("spooled", "elsewhere"):
        return b"x"
    path = (store.spool_folder() if way == "spooled" else tmp_path) / "pack"
    path.write_bytes(b"x")
    if way == "elsewhere":
        rename = Path.rename

        def refused(self: Path, target: Path) -> Path:
            if self == path:
                raise OSError(errno.EXDEV, "another file system")
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", refused)
    return SpooledFile(path, 1)


@pytest.mark.parametrize("way", ["bytes", "spooled", "elsewhere", "config"])
def test_a_folder_that_cannot_be_synced_leaves_what_can_be_tried_again(
    store: LocalStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Nothing of that name is there, a spooled file is where it was, and the second try succeeds."""
    kind, name = (FileKind.CONFIG, "config") if way == "config" else (FileKind.PACK, hashlib.sha256(b"x").hexdigest())
    content = x_to_save(way, store, tmp_path, monkeypatch)
    with monkeypatch.context() as patched:

        def broken(folder: Path) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        patched.setattr("backup.stores.local.fsync_folder", broken)
        with pytest.raises(StoreError) as caught:
            store.save(kind, name, content)
    assert not caught.value.permanent
    assert list(store.list(kind)) == []
    assert isinstance(content, bytes) or content.path.read_bytes() == b"x"
    store.save(kind, name, content)
    assert store.load(kind, name) == b"x"
    store.close()
    assert [entry.name for entry in root.rglob("*") if entry.is_file()] == [name]


@pytest.mark.parametrize("way", ["bytes", "spooled", "elsewhere"])
def test_a_folder_that_is_made_is_durable_too(
    store: LocalStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Else a power cut could take it, with the file that is said to be saved; if it cannot be, it is made again."""
    kind, name = FileKind.PACK, name_of(b"x")
    inner = root / "data" / name[:2]
    inner.rmdir()
    content = x_to_save(way, store, tmp_path, monkeypatch)
    synced: list[Path] = []
    broken = [OSError(errno.EIO, os.strerror(errno.EIO))]

    def sync(folder: Path) -> None:
        if broken:
            raise broken.pop()
        synced.append(folder)

    monkeypatch.setattr("backup.stores.local.fsync_folder", sync)
    with pytest.raises(StoreError):
        store.save(kind, name, content)
    assert synced == []
    store.save(kind, name, content)
    assert synced == [root / "data", inner]


def test_a_new_repository_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own folder is too."""
    synced: list[Path] = []
    monkeypatch.setattr("backup.stores.local.fsync_folder", synced.append)
    LocalStore(tmp_path / "repository").create()
    assert {tmp_path, tmp_path / "repository", tmp_path / "repository" / "data"} <= set(synced)


def test_an_input_error_may_pass(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network file systems come back; permission does not."""
    name = name_of(b"key")
    store.save(FileKind.KEY, name, b"key")

    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(StoreError) as caught:
        store.load(FileKind.KEY, name)
    assert not caught.value.permanent


def test_a_folder_that_is_not_there_is_not_made_again(tmp_path: Path) -> None:
    """It may be where a disk is not mounted: writing there would fill the disk beneath."""
    store = LocalStore(tmp_path / "unmounted")
    with pytest.raises(PermanentStoreError, match="no such folder"):
        store.save(FileKind.KEY, name_of(b"key"), b"key")
    with pytest.raises(PermanentStoreError, match="no such folder"):
        list(store.list(FileKind.SNAPSHOT))
    assert not (tmp_path / "unmounted").exists()


def test_folders_that_are_missing_are_made(store: LocalStore, root: Path) -> None:
    """A copy of a repository without its empty folders is written to all the same."""
    name = name_of(b"pack")
    (root / "data" / name[:2]).rmdir()
    store.save(FileKind.PACK, name, b"pack")
    assert list(store.list(FileKind.PACK)) == [(name, 4)]


def test_what_a_dead_process_spooled_is_removed_by_a_later_one(store: LocalStore) -> None:
    """Once it is old and nobody has it open; what is being written and what is not ours stays."""
    folder = store.spool_folder()
    dead, other = folder / f"{PREFIX}dead", folder / "somebody's"
    dead.write_bytes(b"x")
    other.write_bytes(b"x")
    file, alive = open_spool(folder)
    now = alive.stat().st_mtime
    with file:
        clean_spool(folder, now=now + 1)
        assert dead.exists()
        clean_spool(folder, now=now + ABANDONED + 1)
        assert not dead.exists()
        assert alive.exists()
    clean_spool(folder, now=now + ABANDONED + 1)
    assert [path.name for path in folder.iterdir()] == ["somebody's"]


def test_one_begins_while_another_ends(store: LocalStore, root: Path) -> None:
    """Who ends removes the spool folder, at any moment of who begins."""
    ended = threading.Event()

    def end_often() -> None:
        other = LocalStore(root)
        while not ended.is_set():
            other.close()

    with ThreadPoolExecutor() as pool:
        at_work = pool.submit(end_often)
        try:
            for _ in range(1000):
                file, path = open_spool(store.spool_folder())
                file.close()
                path.unlink()
        finally:
            ended.set()
        at_work.result()


def test_the_spool_folder_goes_when_the_store_is_closed(store: LocalStore, root: Path) -> None:
    """Nothing is left in a repository that restic would not have made."""
    store.save(FileKind.KEY, name_of(b"key"), b"key")
    store.close()
    assert not (root / "tmp").exists()


def test_a_spooled_file_that_is_gone_is_not_taken_for_a_missing_file_of_the_repository(store: LocalStore) -> None:
    """FileMissingError speaks of the repository alone."""
    with pytest.raises(PermanentStoreError) as caught:
        store.save(FileKind.PACK, name_of(b"x"), SpooledFile(Path("/nowhere/x"), 1))
    assert not isinstance(caught.value, FileMissingError)
