"""What the contract promises, held by every store and every wrapper."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backup.stores.contract import (
    FileExistsStoreError,
    FileKind,
    FileMissingError,
    PermanentStoreError,
    SpooledFile,
    Store,
    StoreError,
)
from backup.stores.spool import open_spool
from tests.backup.stores.grounds import Ground, PlacedGround

NAMED = [kind for kind in FileKind if kind is not FileKind.CONFIG]
CONTENT = bytes(range(256)) * 100


@pytest.fixture
def store(ground: Ground) -> Iterator[Store]:
    store = ground.open()
    store.create()
    yield store
    store.close()


def name_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def spooled(store: Store, content: bytes, tmp_path: Path) -> SpooledFile:
    file, path = open_spool(store.spool_folder() or tmp_path)
    with file:
        file.write(content)
    return SpooledFile(path, len(content))


@pytest.mark.parametrize("kind", NAMED)
def test_what_is_saved_is_there(store: Store, kind: FileKind) -> None:
    """Its bytes, its size, its name; and it is gone once it is removed."""
    contents = {name_of(content): content for content in (b"one", CONTENT, bytes(range(256)))}
    for name, content in contents.items():
        store.save(kind, name, content)
    assert dict(store.list(kind)) == {name: len(content) for name, content in contents.items()}
    for name, content in contents.items():
        assert store.load(kind, name) == content
        assert store.size(kind, name) == len(content)
    gone = name_of(b"one")
    store.remove(kind, gone)
    assert gone not in dict(store.list(kind))
    with pytest.raises(FileMissingError):
        store.load(kind, gone)


def test_kinds_are_apart(store: Store) -> None:
    """The same name may be a key and a lock; removing one leaves the other."""
    name = name_of(b"x")
    for kind in NAMED:
        store.save(kind, name, b"x")
    store.remove(FileKind.KEY, name)
    assert {kind for kind in NAMED if dict(store.list(kind))} == set(NAMED) - {FileKind.KEY}


@pytest.mark.parametrize("content", [b"", b"x", CONTENT, random.Random(1).randbytes(16 << 20)], ids=len)
@pytest.mark.parametrize("way", ["bytes", "spooled"])
def test_every_size_in_both_ways(store: Store, content: bytes, way: str, tmp_path: Path) -> None:
    """From nothing to a full pack; a spooled file is gone afterwards."""
    name = name_of(content)
    file = spooled(store, content, tmp_path) if way == "spooled" else None
    store.save(FileKind.PACK, name, file or content)
    assert store.load(FileKind.PACK, name) == content
    assert store.size(FileKind.PACK, name) == len(content)
    assert file is None or not file.path.exists()


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 1), (0, None), (1, 100), (100, None), (25599, 1), (0, 25600), (25600, 0), (7, 0), (25600, None)],
)
def test_ranges(store: Store, offset: int, length: int | None) -> None:
    """From the first byte to behind the last, and none at all."""
    name = name_of(CONTENT)
    store.save(FileKind.PACK, name, CONTENT)
    if (offset, length) == (25600, None):
        # Whether nothing follows the last byte, or that is too much to ask, differs between protocols.
        with contextlib.suppress(PermanentStoreError):
            assert store.load(FileKind.PACK, name, offset) == b""
        return
    end = None if length is None else offset + length
    assert store.load(FileKind.PACK, name, offset, length) == CONTENT[offset:end]


@pytest.mark.parametrize(("offset", "length"), [(0, 25601), (25599, 2), (25601, 1), (30000, 0)])
def test_more_than_there_is_is_never_a_short_answer(store: Store, offset: int, length: int) -> None:
    """It is an error that no second try changes."""
    name = name_of(CONTENT)
    store.save(FileKind.PACK, name, CONTENT)
    with pytest.raises(PermanentStoreError) as caught:
        store.load(FileKind.PACK, name, offset, length)
    assert not isinstance(caught.value, FileMissingError)


@pytest.mark.parametrize("kind", list(FileKind))
def test_what_is_missing_is_told_as_that(store: Store, ground: Ground, kind: FileKind) -> None:
    """Not as a failure, so that nobody waits for it."""
    name = "config" if kind is FileKind.CONFIG else name_of(b"missing")
    for operation in (store.load, store.size):
        with pytest.raises(FileMissingError):
            operation(kind, name)
    with pytest.raises(FileMissingError):
        store.load(kind, name, 10, 10)
    if ground.tells_missing:
        with pytest.raises(FileMissingError):
            store.remove(kind, name)
    else:
        store.remove(kind, name)
    assert list(store.list(kind)) == []


def test_a_new_place_is_empty(store: Store) -> None:
    """In every kind, config too."""
    assert [list(store.list(kind)) for kind in FileKind] == [[]] * len(FileKind)


def test_creating_twice_keeps_what_is_there(store: Store) -> None:
    """Creation makes ready; it never empties."""
    store.save(FileKind.KEY, name_of(b"key"), b"key")
    store.create()
    assert store.load(FileKind.KEY, name_of(b"key")) == b"key"


def test_config_is_never_replaced(store: Store, tmp_path: Path) -> None:
    """Of two who create a repository in one place the second is refused; all else may be saved again."""
    store.save(FileKind.CONFIG, "config", b"first")
    with pytest.raises(FileExistsStoreError):
        store.save(FileKind.CONFIG, "config", b"second")
    assert store.load(FileKind.CONFIG, "config") == b"first"
    assert list(store.list(FileKind.CONFIG)) == [("config", 5)]
    name = name_of(b"key")
    for _ in range(2):
        store.save(FileKind.KEY, name, b"key")
        store.save(FileKind.PACK, name, spooled(store, b"key", tmp_path))
    assert list(store.list(FileKind.KEY)) == [(name, 3)]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../config", "x", "A" * 64, "0" * 63, f"../{'0' * 64}", f"{'0' * 64}\n"]
)
@pytest.mark.parametrize("kind", [FileKind.PACK, FileKind.KEY, FileKind.CONFIG])
def test_what_is_no_name_is_never_looked_for(store: Store, kind: FileKind, name: str) -> None:
    """Names come from index files too, which somebody else may have written."""
    for operation in (
        lambda: store.save(kind, name, b"x"),
        lambda: store.load(kind, name),
        lambda: store.size(kind, name),
        lambda: store.remove(kind, name),
    ):
        with pytest.raises(PermanentStoreError):
            operation()
    assert list(store.list(kind)) == []


def test_strangers_are_not_listed(place: PlacedGround) -> None:
    """Temp files of whoever was killed, and what people leave lying about."""
    store = place.open()
    store.create()
    name = name_of(b"x")
    store.save(FileKind.PACK, name, b"x")
    store.save(FileKind.INDEX, name, b"x")
    for folder in ("index", f"data/{name[:2]}", "data"):
        for stranger in (f"{name}-tmp-1", f"{name}.partial", "README", "0" * 63):
            (place.root / folder / stranger).write_bytes(b"?")
    store.close()
    again = place.open()
    assert list(again.list(FileKind.PACK)) == [(name, 1)]
    assert list(again.list(FileKind.INDEX)) == [(name, 1)]
    again.close()


def test_a_place_that_is_not_there(place: PlacedGround) -> None:
    """It has no config, which says that no repository is there; looking never makes the place."""
    store = place.open(missing=True)
    for _ in range(2):
        with pytest.raises(FileMissingError):
            store.load(FileKind.CONFIG, "config")
    store.close()


def test_several_threads_at_once(store: Store) -> None:
    """Each reads what it and the others wrote, mixed up with nobody's answer."""
    contents = {
        name_of(content): content for content in (random.Random(n).randbytes(1000 * n + n) for n in range(24))
    }
    items = list(contents.items())
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for name, content in items[number::8]:
                store.save(FileKind.PACK, name, content)
                assert store.load(FileKind.PACK, name) == content
                assert store.load(FileKind.PACK, name, len(content) // 2) == content[len(content) // 2 :]
                assert store.size(FileKind.PACK, name) == len(content)
                assert name in dict(store.list(FileKind.PACK))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert dict(store.list(FileKind.PACK)) == {name: len(content) for name, content in contents.items()}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_goes_on_by_itself(place: PlacedGround) -> None:
    """Workers are forked after the repository was opened; neither side disturbs the other's connections."""
    store = place.open()
    store.create()
    first, second = name_of(b"first"), name_of(b"second")
    store.save(FileKind.PACK, first, b"first")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if store.load(FileKind.PACK, first) == b"first":
                store.save(FileKind.PACK, second, b"second")
                code = 0
        finally:
            os._exit(code)
    for _ in range(20):
        assert store.load(FileKind.PACK, first) == b"first"
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert store.load(FileKind.PACK, second) == b"second"
    store.close()


def test_a_spooled_file_that_is_not_as_said_is_refused(store: Store, tmp_path: Path) -> None:
    """One that is cut short or gone; it stays where it is, and nothing has its name."""
    name = name_of(b"pack")
    short = spooled(store, b"pack", tmp_path)
    for wrong in (SpooledFile(short.path, 5), SpooledFile(tmp_path / "nowhere", 4)):
        with pytest.raises(StoreError) as caught:
            store.save(FileKind.PACK, name, wrong)
        assert caught.value.permanent
        assert not isinstance(caught.value, FileMissingError)
    assert short.path.read_bytes() == b"pack"
    assert list(store.list(FileKind.PACK)) == []
