"""Whatever trees say and stands in the target: nothing outside it is touched, and no wrong file looks whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from backup.forked import Forked
from backup.format.node import FIFO, FOLDER, SYMLINK, Node, encode_node
from backup.format.pack import BlobKind, PackedBlob
from backup.restore.below import Descriptors, Folder, remove_all
from backup.stores.contract import FileKind
from tests.agent.tmpfs import small_disk
from tests.backup.restore.making import TIME, Made, listing, restore
from tests.require import require_root


@pytest.fixture
def made() -> Made:
    """An empty repository."""
    return Made()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the target, with a file that must stay as it is."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "kept").write_bytes(b"kept")
    return folder


class Forgetful(Descriptors):
    """Opens every folder anew, as when there are too many."""

    def open(self, folder: Folder) -> int:
        for known in list(self._open)[:-2]:
            self.forget(known)
        self._open.pop(folder, None)
        return super().open(folder)


def untouched(outside: Path) -> bool:
    """Whether nothing was changed there."""
    return [path.name for path in outside.iterdir()] == ["kept"] and (outside / "kept").read_bytes() == b"kept"


@pytest.mark.parametrize("name", [b"..", b".", b"../outside/kept", b"/etc/x", b"a/b", b"", b"nul\0"])
def test_a_tree_with_a_hostile_name_is_named_and_left_out(
    made: Made, tmp_path: Path, outside: Path, name: bytes
) -> None:
    """The rest is restored."""
    bad = encode_node(made.file(b"NAME", b"evil")).replace(b"NAME", name.replace(b"\0", rb"\\x00"))
    inner = made.raw_tree(b'{"nodes":[' + bad + b"]}\n")
    tree = made.tree(made.folder(b"bad", subtree=inner), made.file(b"good", b"good"))
    said = restore(made.repository, tree, tmp_path / "out")
    assert set(said.errors) == {b"/bad"}
    assert (tmp_path / "out/good").read_bytes() == b"good"
    assert list((tmp_path / "out/bad").iterdir()) == []
    assert untouched(outside)


def test_a_tree_cannot_lead_through_its_own_link(made: Made, tmp_path: Path, outside: Path) -> None:
    """A link and a folder of one name are refused together."""
    link = Node(b"x", SYMLINK, mtime=TIME, linktarget=os.fsencode(outside))
    tree = made.tree(link, made.folder(b"x", made.file(b"kept", b"evil")))
    said = restore(made.repository, tree, tmp_path / "out")
    assert "same name" in said.errors[b"/"]
    assert untouched(outside)


@pytest.mark.parametrize("workers", [1, 2])
def test_links_that_were_planted_are_replaced(made: Made, tmp_path: Path, outside: Path, workers: int) -> None:
    """In the place of a folder, of a file, of a link; what they point to is left alone."""
    target = tmp_path / "out"
    target.mkdir()
    (target / "folder").symlink_to(outside)
    (target / "kept").symlink_to(outside / "kept")
    (target / "large").symlink_to(outside / "new")
    (target / "link").symlink_to(outside)
    os.link(outside / "kept", target / "hard")
    tree = made.tree(
        made.folder(b"folder", made.file(b"kept", b"evil"), mode=1 << 31 | 0o700),
        made.file(b"hard", b"evil"),
        made.file(b"kept", b"evil", mode=0o600),
        made.file(b"large", b"one", b"two", b"three"),
        Node(b"link", SYMLINK, mtime=TIME, linktarget=b"elsewhere"),
    )
    said = restore(made.repository, tree, target, workers=workers)
    assert said.errors == {}
    assert untouched(outside)
    assert (target / "folder/kept").read_bytes() == b"evil"
    assert not (target / "folder").is_symlink() and not (target / "kept").is_symlink()
    assert (target / "large").read_bytes() == b"onetwothree" and not (target / "large").is_symlink()
    assert (target / "hard").read_bytes() == b"evil"


def test_links_that_are_planted_meanwhile_lead_nowhere(
    made: Made, tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that becomes a link while content is read, and a file that is exchanged, fail; the rest goes on."""
    target = tmp_path / "out"
    tree = made.tree(
        made.folder(b"a", made.folder(b"b", made.file(b"kept", b"evil"), made.file(b"two", b"evil", b"parts"))),
        made.file(b"z", b"good"),
    )
    load = made.repository.store.load

    def plant(kind: FileKind, *rest: Any) -> bytes:
        folder = target / "a/b"
        if not folder.is_symlink() and any(folder.glob(".*.tmp")):
            folder.rename(target / "moved")
            folder.symlink_to(outside)
        return load(kind, *rest)

    monkeypatch.setattr(made.repository.store, "load", plant)
    monkeypatch.setattr("backup.restore.restorer.Descriptors", Forgetful)
    said = restore(made.repository, tree, target, workers=1)
    assert b"/a/b/two" in said.errors
    assert untouched(outside)
    assert (target / "z").read_bytes() == b"good"


def test_what_is_not_of_its_size_is_not_written(made: Made, tmp_path: Path) -> None:
    """Longer, shorter, absurdly large, or with a blob that is lost: named, and an older file stays."""
    target = tmp_path / "out"
    target.mkdir()
    (target / "lost").write_bytes(b"older")
    nodes = [
        made.file(b"absurd", b"x", size=(1 << 64) - 1),
        made.file(b"empty", size=1 << 62),
        made.file(b"good", b"good"),
        made.file(b"long", b"abc", b"def", size=5),
        made.file(b"lost", b"abc", content=[bytes(32)], size=3),
        made.file(b"null", content=None, size=7),
        made.file(b"short", b"abc", size=4),
    ]
    said = restore(made.repository, made.tree(*nodes), target)
    assert set(said.errors) == {b"/absurd", b"/empty", b"/long", b"/lost", b"/null", b"/short"}
    assert "in no index" in said.errors[b"/lost"]
    assert sorted(path.name for path in target.iterdir()) == ["good", "lost"]
    assert (target / "lost").read_bytes() == b"older"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_blob_names_the_files_it_belongs_to(made: Made, tmp_path: Path, workers: int) -> None:
    """Each of them, and no other; nothing of them is left behind, and what they would replace stays."""
    target = tmp_path / "out"
    target.mkdir()
    (target / "twice").write_bytes(b"older")
    pieces = [os.urandom(3000) for _ in range(4)]
    tree = made.tree(
        made.file(b"hard", *pieces[:2], links=2, inode=9, device_id=1),
        made.file(b"hard2", *pieces[:2], links=2, inode=9, device_id=1),
        made.file(b"parts", *pieces[:3]),
        made.file(b"single", pieces[1]),
        made.file(b"sound", pieces[0], pieces[3], pieces[2]),
        made.file(b"twice", pieces[1], pieces[1]),
    )
    damaged = made.blobs(pieces[1])[0]
    place = made.repository.blobs.find(BlobKind.DATA, damaged)
    assert place is not None
    stored = bytearray(made.repository.store.load(FileKind.PACK, place.pack.hex()))
    stored[place.offset + 20] ^= 1
    made.repository.store.remove(FileKind.PACK, place.pack.hex())
    made.repository.store.save(FileKind.PACK, place.pack.hex(), bytes(stored))
    said = restore(made.repository, tree, target, workers=workers)
    assert set(said.errors) == {b"/hard", b"/hard2", b"/parts", b"/single", b"/twice"}
    assert damaged.hex()[:8] in said.errors[b"/single"]
    assert sorted(path.name for path in target.iterdir()) == ["sound", "twice"]
    assert (target / "sound").read_bytes() == pieces[0] + pieces[3] + pieces[2]
    assert (target / "twice").read_bytes() == b"older"


def test_another_copy_of_a_damaged_blob_serves(made: Made, tmp_path: Path) -> None:
    """Two backups at once store a blob twice; either is enough."""
    tree = made.tree(made.file(b"file", b"content"))
    id = made.blobs(b"content")[0]
    place = made.repository.blobs.find(BlobKind.DATA, id)
    assert place is not None
    lost = PackedBlob(BlobKind.DATA, id, place.offset, place.length, place.plain_length)
    copy = made.repository.store.load(FileKind.PACK, place.pack.hex())
    made.repository.store.remove(FileKind.PACK, place.pack.hex())
    made.repository.store.save(FileKind.PACK, "ab" * 32, copy)
    made.repository.blobs.add(bytes.fromhex("ab" * 32), [lost])
    said = restore(made.repository, tree, tmp_path / "out")
    assert said.errors == {}
    assert (tmp_path / "out/file").read_bytes() == b"content"


def test_an_index_that_lies_is_found_out(made: Made, tmp_path: Path) -> None:
    """A blob in the place of another opens, but does not have its hash."""
    made.blobs(b"wrong", b"right")
    ids = made.blobs(b"wrong", b"right")
    place = made.repository.blobs.find(BlobKind.DATA, ids[0])
    assert place is not None
    claimed = bytes(range(32))
    made.repository.blobs.add(place.pack, [PackedBlob(BlobKind.DATA, claimed, place.offset, place.length, 0)])
    tree = made.tree(made.file(b"file", b"wrong", content=[claimed]))
    said = restore(made.repository, tree, tmp_path / "out")
    assert "hash" in said.errors[b"/file"]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_lost_tree_is_named_and_nothing_is_deleted_for_it(made: Made, tmp_path: Path) -> None:
    """What the snapshot lacks cannot be known there; beside it it can."""
    target = tmp_path / "out"
    (target / "lost").mkdir(parents=True)
    (target / "lost/kept").touch()
    (target / "extra").touch()
    bare = Node(b"bare", FOLDER, 1 << 31 | 0o755, TIME)
    tree = made.tree(bare, made.file(b"good", b"good"), made.folder(b"lost", subtree=bytes(32)))
    said = restore(made.repository, tree, target, delete=True)
    assert set(said.errors) == {b"/bare", b"/lost"}
    assert sorted(path.name for path in target.rglob("*")) == ["good", "kept", "lost"]


def test_kinds_that_are_not_known_are_named(made: Made, tmp_path: Path) -> None:
    """Sockets are passed over in silence, as restic does."""
    tree = made.tree(
        Node(b"odd", "irregular", mtime=TIME), Node(b"socket", "socket", mtime=TIME), Node(b"void", "", mtime=TIME)
    )
    said = restore(made.repository, tree, tmp_path / "out")
    assert set(said.errors) == {b"/odd", b"/void"}
    assert list((tmp_path / "out").iterdir()) == []


def test_what_blocks_does_not_block(made: Made, tmp_path: Path) -> None:
    """A FIFO in the place of a file is not opened, and neither is one that is restored."""
    target = tmp_path / "out"
    target.mkdir()
    os.mkfifo(target / "file")
    tree = made.tree(made.file(b"file", b"content"), Node(b"pipe", FIFO, 1 << 25 | 0o640, TIME, TIME))
    assert restore(made.repository, tree, target).errors == {}
    assert (target / "file").read_bytes() == b"content"
    assert stat.S_IMODE((target / "pipe").lstat().st_mode) == 0o640


def test_a_folder_in_the_way_of_a_file(made: Made, tmp_path: Path) -> None:
    """An empty one gives way; a full one only with `delete`."""
    target = tmp_path / "out"
    (target / "empty").mkdir(parents=True)
    (target / "full/inner").mkdir(parents=True)
    tree = made.tree(made.file(b"empty", b"a"), made.file(b"full", b"b"))
    said = restore(made.repository, tree, target)
    assert "not empty" in said.errors[b"/full"]
    assert (target / "empty").is_file() and (target / "full/inner").is_dir()
    assert restore(made.repository, tree, target, delete=True).errors == {}
    assert sorted(path.name for path in target.iterdir()) == ["empty", "full"]


def test_depth_has_no_end(made: Made, tmp_path: Path) -> None:
    """Five thousand folders in each other: restored, found the same, and removed, with few descriptors."""
    depth = 5000
    tree = made.chain(depth)
    target = tmp_path / "out"
    assert restore(made.repository, tree, target).errors == {}
    said = restore(made.repository, tree, target)
    assert said.errors == {}
    assert said.actions()[b"/d" * depth + b"/file"] == "file unchanged"
    beside = made.tree(made.file(b"file", b"x"))
    said = restore(made.repository, beside, target, delete=True)
    assert said.errors == {}
    assert [path.name for path in target.iterdir()] == ["file"]


def test_removal_follows_no_link(tmp_path: Path, outside: Path) -> None:
    """Nor does it leave the file system."""
    (tmp_path / "gone/a/b").mkdir(parents=True)
    (tmp_path / "gone/a/link").symlink_to(outside)
    (tmp_path / "gone/link").symlink_to(outside / "kept")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        remove_all(folder, b"gone")
        assert not (tmp_path / "gone").exists()
        assert untouched(outside)
        (tmp_path / "link").symlink_to(outside)
        remove_all(folder, b"link")
        assert untouched(outside)
    finally:
        os.close(folder)


def test_other_file_systems_are_not_emptied(made: Made, tmp_path: Path) -> None:
    """What is mounted in the target is not the target's."""
    require_root()
    target = tmp_path / "out"
    (target / "extra").mkdir(parents=True)
    with small_disk(target / "extra/disk", size="64k") as disk:
        (disk / "kept").touch()
        said = restore(made.repository, made.tree(made.file(b"file", b"x")), target, delete=True)
        assert "mounted" in said.errors[b"/extra"]
        assert (disk / "kept").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_leaves_no_half_files(made: Made, tmp_path: Path, workers: int) -> None:
    """What finds no room is named; what is there is whole."""
    require_root()
    large = [os.urandom(150_000) for _ in range(4)]
    tree = made.tree(
        made.file(b"a", b"small"), made.file(b"b", *large), made.file(b"c", b"".join(large)), made.file(b"d", b"fits")
    )
    with small_disk(tmp_path / "out", size="400k") as target:
        said = restore(made.repository, tree, target, workers=workers)
        assert b"/c" in said.errors and "space" in said.errors[b"/c"]
        for path in target.iterdir():
            assert path.stat().st_size == {"a": 5, "b": 600_000, "d": 4}[path.name]
        restored = [path.stat().st_size for path in target.iterdir()]
        assert (said.progress.files_done, said.progress.bytes_done) == (len(restored), sum(restored))
        assert {b"/" + os.fsencode(path.name) for path in target.iterdir()} | set(said.errors) == {
            b"/a",
            b"/b",
            b"/c",
            b"/d",
        }


def test_who_is_not_root_restores_what_he_may(made: Made, tmp_path: Path) -> None:
    """Owners that cannot be given are warned of, and take the setuid bit with them; devices are named."""
    require_root()
    target = tmp_path / "out"
    target.mkdir()
    target.chmod(0o777)
    nobody = 65_534
    device = Node(b"device", "chardev", 1 << 26 | 1 << 21 | 0o600, TIME, TIME, links=1, device=0x103)
    tree = made.tree(
        device,
        made.folder(b"folder", made.file(b"inner", b"x", uid=nobody, gid=nobody), mode=1 << 31 | 0o555),
        made.file(b"mine", b"x", uid=nobody, gid=nobody, mode=1 << 23 | 0o755),
        made.file(b"roots", b"x", uid=0, gid=0, mode=1 << 23 | 0o755),
        Node(b"zlink", SYMLINK, mtime=TIME, atime=TIME, linktarget=b"x", uid=nobody, gid=nobody),
    )

    def work(_: int) -> tuple[dict[bytes, str], list[tuple[bytes, str]], dict[bytes, str]]:
        os.setgroups([])
        os.setresgid(nobody, nobody, nobody)
        os.setresuid(nobody, nobody, nobody)
        first = restore(made.repository, tree, target)
        second = restore(made.repository, tree, target)
        return first.errors, first.warnings, second.errors

    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.owner() == "root" and folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o711)
    with Forked([0], work, 1) as running:
        [(_, (errors, warnings, again))] = running.outcomes()
    assert set(errors) == set(again) == {b"/device"}
    assert {path for path, _ in warnings} == {b"/roots", b"/folder"}
    assert stat.S_IMODE((target / "mine").stat().st_mode) == 0o4755
    assert stat.S_IMODE((target / "roots").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "folder").stat().st_mode) == 0o555
    assert (target / "folder/inner").read_bytes() == b"x"


def test_an_interrupted_restore_leaves_no_half_files(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun under another name is removed."""

    def interrupt(*_: Any) -> bytes:
        raise KeyboardInterrupt

    tree = made.tree(made.file(b"parts", b"one", b"two"))
    monkeypatch.setattr("backup.restore.contents.Contents._write_piece", interrupt)
    with pytest.raises(KeyboardInterrupt):
        restore(made.repository, tree, tmp_path / "out", workers=1)
    assert listing(tmp_path / "out") == {}
