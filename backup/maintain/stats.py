"""How much there is, counted in the four ways of restic."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from backup.errors import DamagedError
from backup.format.crypto import OVERHEAD
from backup.format.node import FOLDER
from backup.format.pack import BlobKind
from backup.format.snapshot import Snapshot
from backup.maintain.used import used_blobs
from backup.maintain.walk import Visited, walk
from backup.repository.repository import Repository


class StatsMode(StrEnum):
    """What is counted."""

    RESTORE_SIZE = "restore-size"
    """What restoring each snapshot would write; files linked together once."""
    FILES_BY_CONTENTS = "files-by-contents"
    """Files, those of the same content once."""
    BLOBS_PER_FILE = "blobs-per-file"
    """Blobs of each file of a path, each once for that path."""
    RAW_DATA = "raw-data"
    """Blobs as they are stored, each once."""


@dataclass(slots=True)
class Stats:
    """The figures, as restic has them; bytes."""

    mode: StatsMode
    snapshots_count: int = 0
    total_size: int = 0
    total_file_count: int = 0
    """Entries of every type."""
    total_blob_count: int = 0
    total_uncompressed_size: int = 0
    """Of raw data: what it would take without compression."""
    compressed_size: int = 0
    """Of raw data: of blobs that are compressed, as stored."""
    compressed_uncompressed_size: int = 0
    """The same blobs, uncompressed."""

    @property
    def compression_ratio(self) -> float:
        """How many times smaller compressed blobs are; 0 where there are none."""
        return self.compressed_uncompressed_size / self.compressed_size if self.compressed_size else 0.0

    @property
    def compression_progress(self) -> float:
        """Percent of the data that is compressed."""
        total = self.total_uncompressed_size
        return self.compressed_uncompressed_size / total * 100 if total else 0.0

    @property
    def compression_space_saving(self) -> float:
        """Percent that compression saves."""
        total = self.total_uncompressed_size
        return (1 - self.total_size / total) * 100 if total else 0.0


def stats(
    repository: Repository,
    snapshots: Iterable[Snapshot],
    mode: StatsMode = StatsMode.RESTORE_SIZE,
    *,
    on_progress: Callable[[int, int], None] = lambda snapshots, entries: None,
) -> Stats:
    """Count. `on_progress` is told of snapshots begun and entries (or trees, for raw data) seen.

    Raises DamagedError where something is missing or cannot be read.
    """
    found = Stats(mode)
    if mode is StatsMode.RAW_DATA:
        _count_blobs(repository, snapshots, found, on_progress)
        return found
    count: Callable[[Visited], None]
    if mode is StatsMode.RESTORE_SIZE:
        restored = _RestoreSize(found)
        begin, count = restored.begin, restored.count
    else:
        contents = _Contents(repository, found)
        begin = None
        count = contents.count_file if mode is StatsMode.FILES_BY_CONTENTS else contents.count_blobs
    entries = 0
    for snapshot in snapshots:
        found.snapshots_count += 1
        if begin is not None:
            begin()
        for visited in walk(repository, snapshot.root):
            count(visited)
            entries += 1
            on_progress(found.snapshots_count, entries)
    return found


class _RestoreSize:
    def __init__(self, found: Stats) -> None:
        self._found = found
        self._linked: set[tuple[int, int]] = set()

    def begin(self) -> None:
        """Another snapshot: its links are its own."""
        self._linked.clear()

    def count(self, visited: Visited) -> None:
        node = visited.node
        self._found.total_file_count += 1
        if node.links != 1 and node.type != FOLDER and node.inode:
            if (node.inode, node.device_id) in self._linked:
                return
            self._linked.add((node.inode, node.device_id))
        self._found.total_size += node.size


class _Contents:
    def __init__(self, repository: Repository, found: Stats) -> None:
        self._index = repository.blobs
        self._found = found
        self._contents: set[bytes] = set()
        self._blobs: dict[bytes, set[bytes]] = {}
        """Of each path."""

    def count_file(self, visited: Visited) -> None:
        if self._is_new(visited):
            self._found.total_size += visited.node.size
            self._found.total_file_count += 1

    def count_blobs(self, visited: Visited) -> None:
        if not self._is_new(visited) or not visited.node.content:
            return
        seen = self._blobs.get(visited.path)
        if seen is None:
            seen = self._blobs[visited.path] = set()
            self._found.total_file_count += 1
        for id in visited.node.content:
            if id in seen:
                continue
            seen.add(id)
            place = self._index.find(BlobKind.DATA, id)
            if place is None:
                raise DamagedError(f"tree {visited.tree.hex()[:8]} needs data {id.hex()[:8]}, which is in no index")
            self._found.total_size += place.plain_length or place.length - OVERHEAD
            self._found.total_blob_count += 1

    def _is_new(self, visited: Visited) -> bool:
        # What has no content, as a folder, has the same as an empty file: so restic counts.
        digest = hashlib.sha256(b"".join(visited.node.content or ())).digest()
        if digest in self._contents:
            return False
        self._contents.add(digest)
        return True


def _count_blobs(
    repository: Repository, snapshots: Iterable[Snapshot], found: Stats, on_progress: Callable[[int, int], None]
) -> None:
    trees = [snapshot.root for snapshot in snapshots]
    found.snapshots_count = len(trees)
    used = used_blobs(repository, trees, on_tree=lambda count: on_progress(len(trees), count))
    for error in used.damaged.values():
        raise error
    for kind, id in used.missing:
        raise DamagedError(f"{kind.name.lower()} {id.hex()[:8]} is needed and in no index")
    for slot, mark in enumerate(used.marks.at):
        if mark:
            blob = repository.blobs.at(slot)
            plain_length = (blob.plain_length or blob.length - OVERHEAD) + OVERHEAD
            found.total_blob_count += 1
            found.total_size += blob.length
            found.total_uncompressed_size += plain_length
            if blob.plain_length:
                found.compressed_size += blob.length
                found.compressed_uncompressed_size += plain_length
