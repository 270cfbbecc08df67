"""Operations that are killed, or whose store fails, at any point: no snapshot is lost, and the next run finishes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from backup.errors import RepositoryError
from backup.format.pack import BlobKind
from backup.maintain.check import CheckOptions, check
from backup.maintain.contents import PackContents
from backup.maintain.copy import copy
from backup.maintain.forget import forget
from backup.maintain.prune import PruneOptions, prune
from backup.maintain.prune_plan import PruneRules
from backup.maintain.repair_index import RepairIndexOptions, repair_index
from backup.maintain.repair_packs import repair_packs
from backup.maintain.repair_snapshots import RepairSnapshotsOptions, repair_snapshots
from backup.maintain.rewrite import RewriteOptions, rewrite
from backup.maintain.used import used_blobs
from backup.repository import locks
from backup.repository.opening import open_repository
from backup.repository.repository import Repository
from backup.select.filters import Excludes
from backup.select.sizes import Size
from backup.stores.contract import FileKind, Store
from backup.stores.memory import MemoryStore
from tests.backup.faulty import Fault, FaultyStore, Killed
from tests.backup.maintain.conftest import (
    CHEAP,
    PASSWORD,
    Restic,
    in_memory,
    manifest,
    opened,
    written_out,
)

CHANGING = ("save", "remove")
EVERY = 3
"""Restic looks at every third state that a kill leaves; we look at all."""
CLEAN = PruneOptions(PruneRules(max_unused=Size(0)))


class Operation(NamedTuple):
    """Something that changes a repository."""

    run: Callable[[Repository], object]
    prepare: Callable[[MemoryStore], None] = lambda store: None
    """Done before, without faults."""
    exclusive: bool = True
    keeps: bool = True
    """Whether every snapshot restores as before, at any point."""


def _forget_first(repository: Repository) -> object:
    first = [snapshot for snapshot in repository.snapshots() if snapshot.hostname == "round 0"]
    return forget(repository, first, prune_options=CLEAN)


def _leave_waste(store: MemoryStore) -> None:
    """As if snapshots had been forgotten, but none are missed: blobs that nothing needs, and a stray pack."""
    repository = opened(store)
    with repository.lock(exclusive=True):
        forget(repository, repository.snapshots()[:2])
    store.save(FileKind.PACK, "ab" * 32, b"stray")


def _damage(store: MemoryStore) -> None:
    """A flipped bit in a blob that no file needs: that of a pack which a kept snapshot needs for others."""
    _leave_waste(store)
    pack, at = _victim(opened(store))
    content = bytearray(store.load(FileKind.PACK, pack.hex()))
    content[at] ^= 1
    store.save(FileKind.PACK, pack.hex(), bytes(content))


def _victim(repository: Repository) -> tuple[bytes, int]:
    """A pack that is partly used, and the place of a byte in it that is not."""
    used = used_blobs(repository, [snapshot.tree for snapshot in repository.snapshots() if snapshot.tree])
    contents = PackContents(repository.blobs)
    for pack in sorted(contents):
        blobs = contents.blobs(pack)
        waste = [blob for blob in blobs if not used.marks.has(blob.kind, blob.id)]
        if waste and len(waste) < len(blobs):
            return pack, waste[0].offset + 20
    raise AssertionError("no pack is partly used")


def _repair_victim(repository: Repository) -> object:
    damaged = check(repository, CheckOptions(read_data=True, processes=1)).damaged_packs
    return repair_packs(repository, map(bytes.fromhex, damaged))


def _lose_data(store: MemoryStore) -> None:
    """A pack of data is gone, and the index knows it."""
    repository = opened(store)
    gone = next(place.pack for kind, _, place in repository.blobs if kind is BlobKind.DATA)
    store.remove(FileKind.PACK, gone.hex())
    with repository.lock(exclusive=True):
        repair_index(repository)


def _lose_index(store: MemoryStore) -> None:
    for name, _ in list(store.list(FileKind.INDEX))[:1]:
        store.remove(FileKind.INDEX, name)


OPERATIONS = {
    "prune": Operation(lambda repository: prune(repository, CLEAN), _leave_waste),
    "rewrite": Operation(
        lambda repository: rewrite(
            repository, repository.snapshots(), RewriteOptions(excludes=Excludes([b"inner"]), forget=True)
        ),
        keeps=False,
    ),
    "repair index": Operation(
        lambda repository: repair_index(repository, RepairIndexOptions(read_all_packs=True)), _lose_index
    ),
    "repair packs": Operation(_repair_victim, _damage),
    "repair snapshots": Operation(
        lambda repository: repair_snapshots(repository, repository.snapshots(), RepairSnapshotsOptions(forget=True)),
        _lose_data,
        keeps=False,
    ),
    "forget": Operation(_forget_first, keeps=False),
}


@pytest.fixture(autouse=True)
def no_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else is there to settle with."""
    monkeypatch.setattr(locks, "SETTLE", 0.0)


@pytest.fixture(scope="module")
def original(small: Path) -> MemoryStore:
    return in_memory(small)


def copied_store(store: MemoryStore) -> MemoryStore:
    other = MemoryStore()
    for kind in FileKind:
        for name, _ in store.list(kind):
            other.save(kind, name, store.load(kind, name))
    return other


def run(operation: Operation, store: Store) -> None:
    repository = opened(store)
    with repository.lock(exclusive=operation.exclusive):
        operation.run(repository)


def unlock(store: Store) -> None:
    for name, _ in list(store.list(FileKind.LOCK)):
        store.remove(FileKind.LOCK, name)


def faults(store: FaultyStore, *names: str) -> Iterator[Fault]:
    """Of those of a run without faults that change what is stored, or all where `names` says which."""
    for fault in store.each_fault(*CHANGING):
        if fault.what in names:
            yield fault


def state(store: Store) -> frozenset[tuple[FileKind, str]]:
    return frozenset((kind, name) for kind in FileKind if kind is not FileKind.LOCK for name, _ in store.list(kind))


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_kill_at_any_change_loses_nothing(original: MemoryStore, name: str, newest: Restic, tmp_path: Path) -> None:
    """After `unlock` restic finds nothing wrong, every snapshot restores, and another run finishes the work."""
    operation = OPERATIONS[name]
    start = copied_store(original)
    operation.prepare(start)
    prepared = manifest(opened(start)) if name != "repair index" else manifest(opened(original))
    counting = FaultyStore(copied_store(start))
    run(operation, counting)
    finished = manifest(opened(counting.inner))
    seen = {state(start)}
    for number, fault in enumerate(faults(counting, "killed before", "killed within", "killed after")):
        store = FaultyStore(copied_store(start), fault)
        with pytest.raises(Killed):
            run(operation, store)
        left = store.inner
        assert isinstance(left, MemoryStore)
        unlock(left)
        if state(left) not in seen:
            seen.add(state(left))
            if "repair" not in name and len(seen) % EVERY == 0:
                newest.run(written_out(left, tmp_path / str(number)), "check", "--read-data")
            if name != "repair index":
                _whole(left, prepared, finished, operation)
        run(operation, left)
        unlock(left)
        assert manifest(opened(left)) == finished, fault
        assert check(opened(left), CheckOptions()).sound, fault


def _whole(
    store: Store,
    before: dict[str, dict[bytes, object]],
    after: dict[str, dict[bytes, object]],
    operation: Operation,
) -> None:
    """Every snapshot is as it was before or as it will be."""
    found = manifest(opened(store))
    if operation.keeps:
        assert found == before
        return
    for id, entries in found.items():
        assert entries in (before[id], after.get(id))
    assert found.keys() >= after.keys()


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_store_that_fails_loses_nothing(original: MemoryStore, name: str) -> None:
    """Once, for ever, without an answer, or for want of space: what is there is whole, and another run finishes."""
    operation = OPERATIONS[name]
    start = copied_store(original)
    operation.prepare(start)
    counting = FaultyStore(copied_store(start))
    run(operation, counting)
    finished = manifest(opened(counting.inner))
    every = list(faults(counting, "failing once", "failing for ever", "lost answer", "disk full"))
    for fault in every[::3]:
        store = FaultyStore(copied_store(start), fault)
        with contextlib.suppress(RepositoryError):
            run(operation, store)
        unlock(store.inner)
        run(operation, store.inner)
        assert manifest(opened(store.inner)) == finished, fault
        assert check(opened(store.inner), CheckOptions()).sound, fault


@pytest.mark.parametrize("name", ["prune", "rewrite", "repair packs", "repair snapshots"])
def test_wrong_and_short_answers_lose_nothing(original: MemoryStore, name: str) -> None:
    """What was read is verified before anything is done with it."""
    operation = OPERATIONS[name]
    start = copied_store(original)
    operation.prepare(start)
    prepared = manifest(opened(start))
    counting = FaultyStore(copied_store(start))
    run(operation, counting)
    finished = manifest(opened(counting.inner))
    # A repair cannot tell a store that answers wrongly for ever from one that has lost its data.
    wanted = ("wrong bytes", "short bytes", *(["wrong bytes for ever"] if "repair" not in name else []))
    every = [fault for fault in counting.each_fault("load") if fault.what in wanted]
    for fault in every[:: max(1, len(every) // 30)]:
        store = FaultyStore(copied_store(start), fault)
        with contextlib.suppress(RepositoryError):
            run(operation, store)
        unlock(store.inner)
        _whole(store.inner, prepared, finished, Operation(operation.run, keeps=operation.keeps))


def test_a_copy_that_is_killed_goes_on_where_it_was(original: MemoryStore, newest: Restic, tmp_path: Path) -> None:
    """The target is whole at any point, and what is there is not copied again."""
    source = opened(copied_store(original))
    expected = manifest(source)

    def run_copy(store: Store) -> None:
        target = open_repository(store, PASSWORD)
        with target.lock(), source.lock():
            copy(source, target, source.snapshots())

    empty = MemoryStore()
    Repository.create(empty, PASSWORD, cost=CHEAP)
    counting = FaultyStore(copied_store(empty))
    run_copy(counting)
    seen = set()
    for number, fault in enumerate(faults(counting, "killed before", "killed within", "killed after")):
        store = FaultyStore(copied_store(empty), fault)
        with pytest.raises(Killed):
            run_copy(store)
        unlock(store.inner)
        if state(store.inner) not in seen:
            seen.add(state(store.inner))
            if len(seen) % EVERY == 0:
                newest.run(written_out(store.inner, tmp_path / str(number)), "check", "--read-data")
        found = manifest(opened(store.inner))
        assert found == {id: expected[id] for id in found}
        run_copy(store.inner)
        assert manifest(opened(store.inner)) == expected
        assert len(list(store.inner.list(FileKind.SNAPSHOT))) == len(expected)
