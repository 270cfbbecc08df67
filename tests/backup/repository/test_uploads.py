"""Saving packs in threads."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backup.format.keyfile import Cost
from backup.format.pack import BlobKind
from backup.repository.opening import open_repository
from backup.repository.packer import FinishedPack, PackWriter
from backup.repository.repository import Repository
from backup.repository.uploads import Uploads
from backup.stores.contract import FileKind, PermanentStoreError, SpooledFile, StoreError
from backup.stores.memory import MemoryStore
from backup.stores.wrapper import Wrapper

ROOM = 2


class Small(Wrapper):
    """A store with room for a few packs, and what is smaller."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self._room = threading.Semaphore(ROOM)

    def save(self, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        if kind is FileKind.PACK and not self._room.acquire(blocking=False):
            raise PermanentStoreError("no space left")
        super().save(kind, name, content)


def packs(repository: Repository, folder: Path, count: int) -> Iterator[FinishedPack]:
    """Of one blob each."""
    writer = PackWriter(folder, repository.key, BlobKind.DATA)
    for _ in range(count):
        plain = os.urandom(1000)
        writer.add(hashlib.sha256(plain).digest(), plain)
        pack = writer.finish()
        assert pack is not None
        yield pack


def test_what_was_saved_before_the_end_of_the_room_is_in_an_index(tmp_path: Path) -> None:
    """However many others found no room at the same time; nothing is left of these."""
    repository = Repository.create(Small(), b"a password", cost=Cost(1024, 1, 1))
    told: list[bytes] = []
    uploads = Uploads(repository, lambda pack: told.append(pack.id))
    with pytest.raises(StoreError):
        for pack in packs(repository, tmp_path, ROOM + 5):
            uploads.add(pack)
        uploads.finish()
    uploads.abandon()
    saved = {name for name, _ in repository.names(FileKind.PACK)}
    assert len(saved) == ROOM and {id.hex() for id in told} == saved
    (index,) = uploads.index_names
    assert len(open_repository(repository.store, b"a password").blobs) == ROOM, index
    assert not list(tmp_path.iterdir())
