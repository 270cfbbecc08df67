"""Folders of a repository that are gone: what was there is not taken for nothing."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from backup.stores.contract import FileKind, PermanentStoreError
from tests.backup.stores.conftest import make_ground
from tests.backup.stores.grounds import PlacedGround

NAME = hashlib.sha256(b"x").hexdigest()
SAVED = (FileKind.CONFIG, FileKind.KEY, FileKind.SNAPSHOT, FileKind.INDEX, FileKind.PACK)
PACKS = f"data/{NAME[:2]}"


@pytest.fixture(params=["local", "sftp"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> PlacedGround:
    """Where folders are folders, with a file of each kind but a lock."""
    found = make_ground(request.param, request, tmp_path)
    assert isinstance(found, PlacedGround)
    store = found.open()
    store.create()
    for kind in SAVED:
        store.save(kind, "config" if kind is FileKind.CONFIG else NAME, b"x")
    store.close()
    return found


def listed(place: PlacedGround, kind: FileKind) -> list[str]:
    store = place.open()
    try:
        return [name for name, _ in store.list(kind)]
    finally:
        store.close()


@pytest.mark.parametrize("kind", [FileKind.KEY, FileKind.SNAPSHOT, FileKind.INDEX, FileKind.PACK])
def test_a_folder_that_held_something_is_missed(place: PlacedGround, kind: FileKind) -> None:
    """Without it `prune` would see no snapshot, and remove all that there is."""
    shutil.rmtree(place.root / kind.value)
    with pytest.raises(PermanentStoreError, match=f"{kind.value}: there is no such folder, but others hold files"):
        listed(place, kind)


@pytest.mark.parametrize("folder", ["keys", "locks", "snapshots", "index", "data", PACKS])
def test_a_link_whose_folder_is_gone_is_missed(place: PlacedGround, folder: str) -> None:
    """As where the disk that it leads to is not mounted, whatever it held; and none is made in its place."""
    shutil.rmtree(place.root / folder)
    (place.root / folder).symlink_to(place.root / "unmounted" / "folder")
    kind = FileKind(folder.partition("/")[0])
    with pytest.raises(PermanentStoreError, match=f"{folder}: is no folder, nor a link to one"):
        listed(place, kind)
    store = place.open()
    with pytest.raises(PermanentStoreError):
        store.save(kind, NAME, b"x")
    store.close()
    assert not (place.root / "unmounted").exists()


@pytest.mark.parametrize("kind", [FileKind.KEY, FileKind.SNAPSHOT, FileKind.INDEX, FileKind.PACK])
def test_a_link_to_a_folder_is_followed(place: PlacedGround, kind: FileKind) -> None:
    """Also by the one that is missed when it is gone."""
    elsewhere = place.root.parent / "elsewhere"
    (place.root / kind.value).rename(elsewhere)
    (place.root / kind.value).symlink_to(elsewhere)
    assert listed(place, kind) == [NAME]


def test_empty_folders_that_a_copy_left_out_are_not_missed(place: PlacedGround) -> None:
    """As many tools do: nobody had a lock, and of a repository without snapshots only config and keys are left."""
    (place.root / "locks").rmdir()
    assert listed(place, FileKind.LOCK) == []
    for folder in ("snapshots", "index", "data"):
        shutil.rmtree(place.root / folder)
    for kind in (FileKind.SNAPSHOT, FileKind.INDEX, FileKind.PACK):
        assert listed(place, kind) == []
    store = place.open()
    for kind in (FileKind.LOCK, FileKind.PACK, FileKind.INDEX, FileKind.SNAPSHOT):
        store.save(kind, NAME, b"x")
        assert list(store.list(kind)) == [(NAME, 1)]
    store.close()


def test_all_is_missed_where_a_disk_was_taken_away(place: PlacedGround) -> None:
    """Then the folder beneath shows itself, and is empty."""
    shutil.rmtree(place.root)
    place.root.mkdir()
    for kind in FileKind:
        if kind is not FileKind.CONFIG:
            with pytest.raises(PermanentStoreError, match="there is no such folder, nor a config"):
                listed(place, kind)
