"""Saving blobs by one process: packs, then index, as the order of writes demands.

A backup has workers of its own (archive/); this serves all that writes less, or whose time goes into reading: copies,
repairs, rewritten trees, prune.
"""

from __future__ import annotations

import hashlib
from typing import Self

from backup.format.pack import PACK_SIZE, BlobKind
from backup.repository.blobs import BlobIndex
from backup.repository.packer import FinishedPack, PackWriter
from backup.repository.repository import Repository
from backup.repository.uploads import Uploads


class BlobSaver:
    """Adds blobs to a repository. Not for several threads at once.

    To be used in a `with`; what is not followed by a `flush` is in no index, and the next prune removes it.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        known: BlobIndex | None = None,
        pack_size: int = PACK_SIZE,
        dry_run: bool = False,
    ) -> None:
        """A blob in `known` is not saved again; what is saved is added to it. By default, the repository's index."""
        self._repository = repository
        self._known = repository.blobs if known is None else known
        self._dry_run = dry_run
        folder = repository.store.spool_folder() if not dry_run else None
        self._writers = {
            kind: PackWriter(
                folder,
                repository.key,
                kind,
                compression=repository.compression,
                extra_verify=repository.extra_verify,
                pack_size=pack_size,
                discard=dry_run,
            )
            for kind in BlobKind
        }
        self._begun: set[tuple[BlobKind, bytes]] = set()
        """Blobs of packs that are not saved."""
        self._uploads = Uploads(repository, self._settle)
        self.blobs = 0
        """How many were added."""
        self.bytes = 0
        """Bytes of the packs that were finished."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._uploads.close()
        for writer in self._writers.values():
            writer.abandon()

    def has(self, kind: BlobKind, id: bytes) -> bool:
        """Whether a blob need not be saved."""
        return (kind, id) in self._begun or self._known.has(kind, id)

    def save(self, kind: BlobKind, plain: bytes | memoryview, id: bytes | None = None) -> bytes:
        """Add a blob, unless it is there; returns its id. Raises DamagedError, StoreError."""
        if id is None:
            id = hashlib.sha256(plain).digest()
        if not self.has(kind, id):
            self._writers[kind].add(id, plain)
            self._added(kind, id)
        return id

    def save_sealed(self, kind: BlobKind, id: bytes, sealed: bytes, plain_length: int) -> None:
        """Add a blob as it is stored in this repository, which the caller has verified, unless it is there."""
        if not self.has(kind, id):
            self._writers[kind].add_sealed(id, (sealed,), plain_length)
            self._added(kind, id)

    def flush(self) -> None:
        """Put all that was added into packs and an index."""
        for kind in self._writers:
            self._finish(kind)
        self._uploads.finish()

    def _added(self, kind: BlobKind, id: bytes) -> None:
        self.blobs += 1
        self._begun.add((kind, id))
        if self._writers[kind].full:
            self._finish(kind)

    def _finish(self, kind: BlobKind) -> None:
        pack = self._writers[kind].finish()
        if pack is None:
            return
        if pack.file is None:
            self._settle(pack)
            return
        self.bytes += pack.file.size
        self._uploads.add(pack)

    def _settle(self, pack: FinishedPack) -> None:
        self._known.add(pack.id, pack.blobs)
        self._begun.difference_update((blob.kind, blob.id) for blob in pack.blobs)
