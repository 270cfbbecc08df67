"""Saving blobs by one process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from backup.errors import DamagedError
from backup.format.keyfile import Cost
from backup.format.pack import BlobKind
from backup.repository import uploads
from backup.repository.blobs import BlobIndex
from backup.repository.opening import open_repository
from backup.repository.repository import Repository
from backup.repository.saver import BlobSaver
from backup.stores.contract import FileKind, PermanentStoreError, SpooledFile, Store
from backup.stores.memory import MemoryStore
from backup.stores.spool import ABANDONED, clean_spool
from backup.stores.wrapper import Wrapper
from tests.backup.faulty import Fault, FaultyStore

PASSWORD = b"a password"


@pytest.fixture
def repository() -> Iterator[Repository]:
    made = Repository.create(MemoryStore(), PASSWORD, cost=Cost(1024, 1, 1))
    with made.lock():
        yield made


def count(repository: Repository, kind: FileKind) -> int:
    return sum(1 for _ in repository.names(kind))


def test_what_was_flushed_can_be_loaded_by_anybody(repository: Repository) -> None:
    """Of both kinds, each in packs of its own."""
    plains = [b"", b"x", b"text " * 1000, os.urandom(100_000)]
    with BlobSaver(repository) as saver:
        ids = {(kind, saver.save(kind, plain)): plain for kind in BlobKind for plain in plains}
        saver.flush()
    other = open_repository(repository.store, PASSWORD)
    assert {blob: other.load_blob(*blob) for blob in ids} == ids
    assert count(repository, FileKind.PACK) == 2
    assert count(repository, FileKind.INDEX) == 1
    assert saver.blobs == len(ids)


def test_what_is_there_is_not_saved_again(repository: Repository) -> None:
    """Neither within a run, nor in a later one; unless another index says what is known."""
    for _ in range(2):
        with BlobSaver(repository) as saver:
            saver.save(BlobKind.DATA, b"once")
            saver.save(BlobKind.DATA, b"once")
            saver.flush()
    assert count(repository, FileKind.PACK) == count(repository, FileKind.INDEX) == 1
    with BlobSaver(repository, known=BlobIndex()) as saver:
        saver.save(BlobKind.DATA, b"once")
        saver.flush()
    assert count(repository, FileKind.PACK) == 2


def test_a_stored_blob_is_taken_over_as_it_is(repository: Repository) -> None:
    """Byte for byte, and it loads from its new place."""
    with BlobSaver(repository) as saver:
        id = saver.save(BlobKind.DATA, b"text " * 1000)
        saver.flush()
    place = repository.blobs.find(BlobKind.DATA, id)
    assert place is not None
    sealed = repository.store.load(FileKind.PACK, place.pack.hex(), place.offset, place.length)
    known = BlobIndex()
    with BlobSaver(repository, known=known) as saver:
        saver.save_sealed(BlobKind.DATA, id, sealed, place.plain_length)
        saver.flush()
    moved = known.find(BlobKind.DATA, id)
    assert moved is not None and moved.pack != place.pack
    assert repository.store.load(FileKind.PACK, moved.pack.hex(), moved.offset, moved.length) == sealed


def test_full_packs_and_indexes_are_saved_on_the_way(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with what is saved."""
    monkeypatch.setattr(uploads, "FULL", 10)
    with BlobSaver(repository, pack_size=10_000) as saver:
        for _ in range(100):
            saver.save(BlobKind.DATA, os.urandom(3000))
        before = count(repository, FileKind.INDEX)
        saver.flush()
    assert before >= 2
    assert count(repository, FileKind.PACK) >= 25
    assert len(open_repository(repository.store, PASSWORD).blobs) == 100


def test_what_is_not_flushed_is_in_no_index(repository: Repository) -> None:
    """And nothing of it is left over in the place for files that wait."""
    with BlobSaver(repository) as saver:
        saver.save(BlobKind.DATA, b"dropped")
    assert count(repository, FileKind.PACK) == count(repository, FileKind.INDEX) == 0


def test_a_dry_run_tells_ids_and_writes_nothing(repository: Repository) -> None:
    """They are those of a real run."""
    with BlobSaver(repository, dry_run=True) as saver:
        foretold = saver.save(BlobKind.TREE, b"tree")
        saver.flush()
    assert count(repository, FileKind.PACK) == count(repository, FileKind.INDEX) == 0
    repository.drop_index()
    with BlobSaver(repository) as saver:
        assert saver.save(BlobKind.TREE, b"tree") == foretold


def test_a_failed_upload_ends_the_work_before_the_index(repository: Repository) -> None:
    """An index never names a pack that is not there."""
    repository.store = FaultyStore(repository.store, Fault("save", 1, "disk full", FileKind.PACK))
    with pytest.raises(PermanentStoreError), BlobSaver(repository) as saver:
        saver.save(BlobKind.DATA, b"lost")
        saver.flush()
    assert count(repository, FileKind.INDEX) == 0


class Cleaning(Wrapper):
    """A store in which somebody cleans up an hour after each pack was written, and just before it is saved."""

    def __init__(self, inner: Store, folder: Path) -> None:
        super().__init__(inner)
        self._folder = folder

    def spool_folder(self) -> Path:
        return self._folder

    def save(self, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        if isinstance(content, SpooledFile):
            os.utime(content.path, (0, content.path.stat().st_mtime - 2 * ABANDONED))
            clean_spool(self._folder)
        super().save(kind, name, content)


def test_a_pack_that_is_being_saved_is_not_taken_for_abandoned(repository: Repository, tmp_path: Path) -> None:
    """However long that takes."""
    repository.store = Cleaning(repository.store, tmp_path)
    with BlobSaver(repository) as saver:
        saver.save(BlobKind.DATA, b"slowly")
        saver.flush()
    assert count(repository, FileKind.PACK) == count(repository, FileKind.INDEX) == 1
    assert not list(tmp_path.iterdir())


def test_what_ends_in_the_middle_leaves_no_file_behind(repository: Repository, tmp_path: Path) -> None:
    """Neither of packs that were begun nor of those that wait to be saved; and no index."""
    repository.store = Cleaning(FaultyStore(repository.store, Fault("save", 1, "disk full", FileKind.PACK)), tmp_path)
    with pytest.raises(PermanentStoreError), BlobSaver(repository, pack_size=10_000) as saver:
        for _ in range(100):
            saver.save(BlobKind.DATA, os.urandom(3000))
            saver.save(BlobKind.TREE, os.urandom(300))
        saver.flush()
    assert count(repository, FileKind.INDEX) == 0
    assert not list(tmp_path.iterdir())


def test_a_blob_that_does_not_have_its_id_is_refused(repository: Repository) -> None:
    """It would be found damaged later."""
    with pytest.raises(DamagedError), BlobSaver(repository) as saver:
        saver.save(BlobKind.DATA, b"one", id=bytes(32))
