"""Saving blobs by one process: packs, then index, as the order of writes demands.

A backup has workers of its own (archive/); this serves all that writes less, or whose time goes into reading: copies,
repairs, rewritten trees, prune.
"""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from agent.backup.format.index import FULL
from agent.backup.format.pack import BlobKind, PackedBlob
from agent.backup.repository.blobs import BlobIndex
from agent.backup.repository.packer import PACK_SIZE, FinishedPack, PackWriter
from agent.backup.repository.repository import Repository
from agent.backup.stores.contract import FileKind


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
        """Blobs of packs that are not finished."""
        self._most_uploads = max(repository.store.connections, 1)
        self._pool = ThreadPoolExecutor(self._most_uploads, thread_name_prefix="save")
        self._uploads: deque[tuple[Future[None], FinishedPack]] = deque()
        self._saved: list[tuple[bytes, list[PackedBlob]]] = []
        """Packs that are in the store and in no index."""
        self.blobs = 0
        """How many were added."""
        self.bytes = 0
        """Bytes of the packs that were finished."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for writer in self._writers.values():
            writer.abandon()
        for upload in self._uploads:
            if (file := upload[1].file) is not None:
                file.path.unlink(missing_ok=True)

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
            self._writers[kind].add_sealed(id, sealed, plain_length)
            self._added(kind, id)

    def flush(self) -> None:
        """Put all that was added into packs and an index."""
        for kind in self._writers:
            self._finish(kind)
        while self._uploads:
            self._settle()
        self._save_index()

    def _added(self, kind: BlobKind, id: bytes) -> None:
        self.blobs += 1
        self._begun.add((kind, id))
        if self._writers[kind].full:
            self._finish(kind)

    def _finish(self, kind: BlobKind) -> None:
        pack = self._writers[kind].finish()
        if pack is None:
            return
        self._known.add(pack.id, pack.blobs)
        self._begun.difference_update((blob.kind, blob.id) for blob in pack.blobs)
        if pack.file is None:
            return
        self.bytes += pack.file.size
        try:
            self._repository.check_lock()
            while len(self._uploads) >= self._most_uploads:
                self._settle()
        except BaseException:
            pack.file.path.unlink(missing_ok=True)
            raise
        save = self._repository.store.save
        self._uploads.append((self._pool.submit(save, FileKind.PACK, pack.id.hex(), pack.file), pack))

    def _settle(self) -> None:
        """Wait for the oldest upload. An index is due once it is full and its packs are there."""
        future, pack = self._uploads[0]
        future.result()
        self._uploads.popleft()
        self._saved.append((pack.id, pack.blobs))
        if sum(len(blobs) for _, blobs in self._saved) >= FULL:
            self._save_index()

    def _save_index(self) -> None:
        if self._saved:
            self._repository.save_index(self._saved)
            self._saved = []
