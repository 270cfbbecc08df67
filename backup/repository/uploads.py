"""Saving packs in threads while others are being filled, and the index of those that are saved."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from backup.format.index import FULL
from backup.format.pack import PackedBlob
from backup.repository.packer import FinishedPack
from backup.repository.repository import Repository
from backup.stores.contract import FileKind, SpooledFile

_INDEX_EVERY = 600.0
"""Seconds after which an index is written however small it is: an interrupted run's work is found by it."""


class Uploads:
    """Saves packs, several at once, then their index. At most a few packs wait on disk.

    Call `finish`, `abandon` or `close` at the end.
    """

    def __init__(self, repository: Repository, on_saved: Callable[[FinishedPack], None]) -> None:
        """`on_saved` is told of each pack that is in the store, by whoever calls `add`, `look` or `finish`."""
        self._repository = repository
        self._on_saved = on_saved
        self._limit = repository.store.connections + 2
        self._threads: ThreadPoolExecutor | None = None
        self._running: dict[Future[FinishedPack], SpooledFile] = {}
        self._saved: list[tuple[bytes, list[PackedBlob]]] = []
        self._blobs = 0
        self.index_names: list[str] = []
        """Of what was written."""
        self._indexed = time.monotonic()

    def add(self, pack: FinishedPack) -> None:
        """Begin to save a pack; waits where too many are under way.

        Raises StoreError or LockedError, of an earlier one too, and from then on is not to be called again.
        """
        if pack.file is None:
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._repository.store.connections, "upload")
        self._running[self._threads.submit(self._save, pack, pack.file)] = pack.file
        self.look()
        while len(self._running) >= self._limit:
            wait(self._running, return_when=FIRST_COMPLETED)
            self.look()

    def look(self) -> None:
        """Take note of what is saved. Raises StoreError, LockedError."""
        for future in [future for future in self._running if future.done()]:
            del self._running[future]
            pack = future.result()
            self._saved.append((pack.id, pack.blobs))
            self._blobs += len(pack.blobs)
            self._on_saved(pack)
        if self._blobs >= FULL or (self._saved and time.monotonic() - self._indexed > _INDEX_EVERY):
            self._save_index()

    def finish(self) -> None:
        """Wait for all, and write the index. Raises StoreError, LockedError."""
        while self._running:
            wait(self._running, return_when=FIRST_COMPLETED)
            self.look()
        if self._saved:
            self._save_index()
        self.close()

    def abandon(self) -> None:
        """Begin nothing more, wait for what is under way, and keep it for the next run, as far as that works."""
        for future, file in list(self._running.items()):
            if future.cancel():
                del self._running[future]
                _remove(file)
        while self._running:
            wait(self._running, return_when=FIRST_COMPLETED)
            with contextlib.suppress(Exception):  # each that failed is told by one look
                self.look()
        with contextlib.suppress(Exception):
            self.finish()
        self.close()

    def close(self) -> None:
        """End the threads. What is not in an index yet is never in one."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            self._threads = None
        for file in self._running.values():
            _remove(file)
        self._running.clear()

    def _save(self, pack: FinishedPack, file: SpooledFile) -> FinishedPack:
        try:
            with _kept(file.path):
                self._repository.check_lock()
                self._repository.store.save(FileKind.PACK, pack.id.hex(), file)
        except BaseException:
            _remove(file)
            raise
        return pack

    def _save_index(self) -> None:
        packs, self._saved, self._blobs = self._saved, [], 0
        self._indexed = time.monotonic()
        self.index_names.append(self._repository.save_index(packs))


def _remove(file: SpooledFile) -> None:
    with contextlib.suppress(OSError):
        file.path.unlink()


@contextlib.contextmanager
def _kept(path: Path) -> Iterator[None]:
    """Keep a spooled file from being taken for abandoned, now that who wrote it has closed it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
