"""Reading back what a run has stored, from where it lies."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection

from backup.errors import DamagedError, RepositoryError
from backup.forked import Forked
from backup.format.node import FILE, FOLDER
from backup.format.pack import BlobKind, PackedBlob
from backup.maintain.check import CheckOptions, check
from backup.maintain.packcheck import PackResult, check_pack
from backup.maintain.trees import parse_references
from backup.repository.repository import Repository
from backup.select.sizes import Group, parse_subset
from backup.stores.cache import CachedStore
from backup.stores.contract import FileKind, Store
from backup.stores.wrapper import Wrapper

_DAY = 86400

Tell = Callable[[int, int], None]
"""Told how many bytes are read, and of how many."""


class NotAsStoredError(DamagedError):
    """What was read back is not what was stored. The message tells the first fault, and how many there are."""


def indexes_of(repository: Repository) -> frozenset[str]:
    """The names of the index files that there are: what a run stores is in others."""
    return frozenset(name for name, _ in repository.names(FileKind.INDEX))


def read_back(repository: Repository, before: Collection[str], snapshot: str, tell: Tell) -> None:
    """Read every pack that no index of `before` knew, byte by byte, and the snapshot (its id, or '' for none).

    All that the new folders refer to must be in an index. What they have in common with earlier snapshots was read
    back when it was stored. Nothing is taken from this host's cache. The caller holds a lock.
    Raises NotAsStoredError, and StoreError where the place gives nothing.
    """
    direct = repository.clone(_uncached(repository.store))
    new: dict[bytes, list[PackedBlob]] = {}

    def loaded(name: str, packs: list[tuple[bytes, list[PackedBlob]]]) -> None:
        if name not in before:
            new.update(packs)

    direct.load_index(on_loaded=loaded)
    sizes = {pack: direct.store.size(FileKind.PACK, pack.hex()) for pack in new}

    def work(pack: bytes) -> PackResult:
        return check_pack(direct, pack, sizes[pack], sorted(new[pack], key=lambda blob: blob.offset))

    faults: list[str] = []
    done, total = 0, sum(sizes.values())
    with Forked(list(new), work, max(len(os.sched_getaffinity(0)), 2)) as workers:
        for _, result in workers.outcomes():
            done += result.size
            tell(done, total)
            faults += result.faults
    if not faults:
        trees = [blob.id for blobs in new.values() for blob in blobs if blob.kind is BlobKind.TREE]
        faults += [fault for tree in trees for fault in _lacking(direct, tree)]
    if snapshot:
        faults += _snapshot_faults(direct, snapshot)
    _raise(faults)


def read_part(repository: Repository, part: str, now: float) -> None:
    """Check the structure of the whole repository, and read the packs of a part of it: "5%", "2G", or "1/30", which
    is another thirtieth each day. The caller holds an exclusive lock. Raises NotAsStoredError.
    """
    subset = parse_subset(part)
    if isinstance(subset, Group):
        subset = Group(int(now // _DAY) % subset.of + 1, subset.of)
    direct = repository.clone(_uncached(repository.store))
    report = check(direct, CheckOptions(subset=subset))
    _raise([problem.message for problem in report.problems])


def _lacking(repository: Repository, tree: bytes) -> list[str]:
    """What a folder refers to that is in no index."""
    index = repository.blobs
    faults = []
    for node in parse_references(repository.load_blob(BlobKind.TREE, tree)):
        if node.type == FOLDER and (node.subtree is None or index.find(BlobKind.TREE, node.subtree) is None):
            faults.append(f"tree {tree.hex()[:8]} refers to a folder that is in no index")
        if node.type == FILE and any(index.find(BlobKind.DATA, id) is None for id in node.content or ()):
            faults.append(f"tree {tree.hex()[:8]} refers to data that is in no index")
    return faults


def _snapshot_faults(repository: Repository, name: str) -> list[str]:
    try:
        root = repository.load_snapshot(name).root
    except RepositoryError as error:
        return [f"snapshot {name[:8]}: {error}"]
    return [] if repository.blobs.find(BlobKind.TREE, root) else [f"the tree of snapshot {name[:8]} is in no index"]


def _raise(faults: list[str]) -> None:
    if faults:
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise NotAsStoredError(f"what was stored is not what was read back: {faults[0]}{more}")


def _uncached(store: Store) -> Store:
    while isinstance(store, Wrapper):
        if isinstance(store, CachedStore):
            return store.inner
        store = store.inner
    return store
