"""Writing index files anew without packs that go away."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from backup.format.index import FULL, parse_index
from backup.format.pack import PackedBlob
from backup.maintain.remove import remove_files
from backup.repository.repository import Repository
from backup.stores.contract import FileKind, FileMissingError

SMALL = FULL // 4
"""An index file with less blobs is joined with others."""

Pack = tuple[bytes, Sequence[PackedBlob]]


class IndexWriter:
    """Saves index files of packs that are in the store, each as soon as it is full."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._waiting: list[Pack] = []
        self._blobs = 0

    def add(self, pack: bytes, blobs: Sequence[PackedBlob]) -> None:
        """Add a pack."""
        self._waiting.append((pack, blobs))
        self._blobs += len(blobs)
        if self._blobs >= FULL:
            self.flush()

    def flush(self) -> None:
        """Save what waits."""
        if self._waiting:
            self._repository.save_index(self._waiting)
            self._waiting, self._blobs = [], 0


def rewrite_index(
    repository: Repository,
    drop: Container[bytes],
    *,
    obsolete: Iterable[str] = (),
    added: Iterable[Pack] = (),
) -> None:
    """Make the index know the packs `added` and no longer those of `drop`; index files of `obsolete` are not read.

    `drop` is asked only when `added` is exhausted.

    All new index files are there before an old one is removed, so a kill leaves an index that knows too much, never
    too little. What is full and has nothing to lose stays as it is; what is there twice remains once. Raises
    DamagedError for an index file that cannot be read and is not obsolete, StoreError.
    """
    skipped = set(obsolete)
    old = sorted(skipped)
    writer = IndexWriter(repository)
    seen: set[tuple[bytes, int]] = set()
    needed = False
    for pack, blobs in added:
        seen.add((pack, hash(frozenset(blobs))))
        writer.add(pack, blobs)
        needed = True
    small: list[tuple[str, list[tuple[bytes, list[PackedBlob]]]]] = []
    for name, _ in sorted(repository.names(FileKind.INDEX)):
        if name in skipped:
            continue
        try:
            packs = parse_index(repository.load_file(FileKind.INDEX, name))
        except FileMissingError:
            continue
        kept = []
        for pack, blobs in packs:
            key = (pack, hash(frozenset(blobs)))
            if pack not in drop and key not in seen:
                seen.add(key)
                kept.append((pack, blobs))
        if len(kept) == len(packs) and packs:
            if sum(len(blobs) for _, blobs in packs) < SMALL:
                small.append((name, kept))
            continue
        old.append(name)
        for pack, blobs in kept:
            writer.add(pack, blobs)
            needed = True
    # One small file alone is joined with nothing.
    if needed or len(small) > 1:
        for name, packs in small:
            old.append(name)
            for pack, blobs in packs:
                writer.add(pack, blobs)
    writer.flush()
    failed = remove_files(repository, FileKind.INDEX, old)
    for error in failed.values():
        raise error
