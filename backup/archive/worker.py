"""A forked process that reads, hashes, compresses, seals and packs. It owns its packs, and no one else's."""

from __future__ import annotations

import gc
import hashlib
import mmap
import os
import stat
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from backup.archive.chunks import MIN_SIZE, Cutter
from backup.archive.devices import Devices, of_origin
from backup.archive.messages import (
    Added,
    Chunk,
    ChunkDone,
    Failed,
    Files,
    FilesDone,
    Finish,
    Finished,
    PackDone,
    SavedFile,
    decode_task,
    encode,
)
from backup.archive.paths import FILE, FOLDER, open_quietly
from backup.archive.seen import SeenIds
from backup.forked import keep_memory
from backup.format.compression import Compression
from backup.format.crypto import MasterKey
from backup.format.node import encode_node
from backup.format.pack import BlobKind
from backup.metadata import TICK, read_metadata
from backup.repository.blobs import BlobIndex
from backup.repository.packer import PackWriter
from kit.errors import HostwardError

_NEW_IN_A_ROW = 8
"""After so many blobs that were in no pack, the next is taken for one, and sealed before it is looked up."""
LARGE = 8 << 20
"""Bytes from which a file is cut by the parent, so that all workers have part in it and none holds it as a whole."""
_MOST_UNSIZED = 64 << 20
"""Bytes that are read of a file that says it has none: those of /proc have some, but a few never end."""


@dataclass(frozen=True)
class Settings:
    """What workers know from the fork on."""

    key: MasterKey
    compression: Compression
    extra_verify: bool
    spool: Path | None
    seed: int
    pack_size: int
    with_atime: bool
    devices: Devices
    dry_run: bool
    blobs: BlobIndex
    seen: SeenIds
    ring: mmap.mmap
    """Where the parent puts what it has cut."""


def run_worker(settings: Settings, connection: Connection, process: int) -> None:
    """Answer tasks until `Finish`, or the end of the parent."""
    gc.disable()  # there are no cycles to find, and looking for them would copy the pages shared with the parent
    keep_memory()
    settings.seen.belong_to(process)
    worker = _Worker(settings, connection)
    try:
        worker.run()
    except EOFError:
        worker.writer.abandon()
    except BaseException as error:
        worker.writer.abandon()
        if not isinstance(error, HostwardError):
            error = HostwardError(f"a worker of the backup failed: {type(error).__name__}: {error}")
        connection.send_bytes(encode(Failed(str(error))))


class _Worker:
    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._connection = connection
        self._with_atime = settings.with_atime
        self._devices = settings.devices
        self._blobs = settings.blobs
        self._seen = settings.seen
        self._ring = memoryview(settings.ring)
        self._extra_verify = settings.extra_verify
        self._new = 0
        """Blobs in a row that were in no pack."""
        self._cutter = Cutter(settings.seed)
        self.writer = PackWriter(
            settings.spool,
            settings.key,
            BlobKind.DATA,
            compression=settings.compression,
            extra_verify=settings.extra_verify,
            pack_size=settings.pack_size,
            discard=settings.dry_run,
        )

    def run(self) -> None:
        while True:
            task = decode_task(self._connection.recv_bytes())
            if isinstance(task, Files):
                added = Added()
                files = [saved for folder, names in task.folders for saved in self._save_files(folder, names, added)]
                self._send(FilesDone(task.number, files, added))
            elif isinstance(task, Chunk):
                added = Added()
                id = self._save(self._ring[task.offset : task.offset + task.length], added)
                self._send(ChunkDone(task.number, id, added))
            elif isinstance(task, Finish):
                self._finish_pack()
                self._send(Finished())
                return

    def _send(self, answer: FilesDone | ChunkDone | PackDone | Finished) -> None:
        self._connection.send_bytes(encode(answer))

    def _save(self, data: memoryview | bytes, added: Added) -> bytes:
        """The id of a blob that is in a pack now, if it was not before."""
        # A first backup finds nothing but new blobs, and hashing is a fifth of its work or, without instructions for
        # it, half. So there a blob gets its name from being verified: lost work where it was known after all.
        ready = self.writer.seal(data) if self._extra_verify and self._new >= _NEW_IN_A_ROW else None
        id = hashlib.sha256(data).digest() if ready is None else ready.id
        if self._blobs.has(BlobKind.DATA, id) or not self._seen.add(id):
            self._new = 0
            return id
        self._new += 1
        added.count(self.writer.add(id, data) if ready is None else self.writer.add_sealed(*ready))
        if self.writer.full:
            self._finish_pack()
        return id

    def _finish_pack(self) -> None:
        pack = self.writer.finish()
        if pack is None:
            return
        try:
            self._send(PackDone.of(pack))
        except OSError:
            if pack.file is not None:
                pack.file.path.unlink(missing_ok=True)  # the parent has given up
            raise

    def _save_files(self, path: bytes, names: list[bytes], added: Added) -> list[SavedFile]:
        try:
            folder = open_quietly(path, FOLDER)
        except OSError as error:
            return [SavedFile(b"", 0, f"its folder cannot be opened: {error.strerror}") for _ in names]
        try:
            return [self._save_file(folder, name, added) for name in names]
        finally:
            os.close(folder)

    def _save_file(self, folder: int, name: bytes, added: Added) -> SavedFile:
        try:
            descriptor = open_quietly(name, FILE, folder)
        except OSError as error:
            return SavedFile(b"", 0, f"cannot be opened: {error.strerror}")
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return SavedFile(b"", 0, "is no longer a file")
            if let_the_clock_pass(status.st_ctime_ns):
                status = os.fstat(descriptor)
            if status.st_size > LARGE:
                return SavedFile(b"", 0, "", grown=True)
            problems: list[str] = []
            data = _read(descriptor, status.st_size)
            if len(data) >= _MOST_UNSIZED:
                problems.append(f"says that it is empty, and has no end; its first {len(data)} bytes were saved")
            elif change := change_since(status, descriptor, len(data)):
                problems.append(change)
            status = of_origin(status, self._devices)
            node = read_metadata(descriptor, status, problems.append, name=name, with_atime=self._with_atime)
            node.size = len(data)
            node.content = self._save_pieces(data, added)
            return SavedFile(encode_node(node), len(data), "; ".join(problems))
        except OSError as error:
            return SavedFile(b"", 0, f"cannot be read: {error.strerror}")
        finally:
            os.close(descriptor)

    def _save_pieces(self, data: bytes, added: Added) -> list[bytes]:
        if not data:
            return []
        if len(data) <= MIN_SIZE:
            return [self._save(data, added)]
        view = memoryview(data)
        ids = []
        for length in self._cutter.cut(view, final=True):
            ids.append(self._save(view[:length], added))
            view = view[length:]
        return ids


def _read(descriptor: int, size: int) -> bytes:
    """The first `size` bytes, or all up to a bound where the size says nothing (files of /proc)."""
    data = os.read(descriptor, size or 1 << 16)
    if len(data) == size:
        return data
    parts = [data]
    left = (size or _MOST_UNSIZED) - len(data)
    while data and left:
        data = os.read(descriptor, min(left, size or 1 << 16))
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def let_the_clock_pass(changed: int) -> bool:
    """Wait until a change from now on gets another time than `changed`, so that the next run sees it.

    Whether there was a wait, in which the file may have changed.
    """
    if not -TICK < time.time_ns() - changed < TICK:
        return False
    time.sleep(TICK / 1e9)
    return True


def change_since(status: os.stat_result, descriptor: int, read: int) -> str:
    """How a file changed while it was read, as words to follow its name; empty where it did not."""
    now = os.fstat(descriptor)
    if now.st_size == status.st_size and now.st_mtime_ns == status.st_mtime_ns:
        return "" if read == status.st_size or not status.st_size else "ended early while it was read"
    if now.st_size > status.st_size:
        return "grew while it was read; what it had before was saved"
    if now.st_size < status.st_size:
        return "shrank while it was read"
    return "changed while it was read"
