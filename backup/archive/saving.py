"""Where the content of files and trees goes: through workers into packs, through threads into the store."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from typing import Any

from backup.archive.chunks import MAX_SIZE, Cutter, chunker_seed
from backup.archive.crew import Crew
from backup.archive.devices import Devices, of_origin
from backup.archive.messages import Added, Answer, Chunk, ChunkDone, Files, FilesDone, PackDone, SavedFile
from backup.archive.paths import FILE, join, open_quietly
from backup.archive.report import Counts
from backup.archive.ring import FileReader, Read, Ring
from backup.archive.seen import SeenIds
from backup.archive.worker import Settings, change_since, let_the_clock_pass
from backup.format.node import encode_node
from backup.format.pack import BlobKind
from backup.metadata import read_metadata
from backup.repository.packer import FinishedPack, PackWriter
from backup.repository.repository import Repository
from backup.repository.uploads import Uploads

_BATCH_FILES = 256
_BATCH_BYTES = 2 << 20
_BATCH_NAMES = 12 << 10
"""Bytes of paths in a batch: three batches fit into a socket's buffer, so that giving one never waits."""

OnFile = Callable[[Any, SavedFile], None]


class _Cut:
    """A file or stream of which some chunks are under way."""

    __slots__ = ("done", "ids", "size", "waiting")

    def __init__(self, done: Callable[[list[bytes]], None]) -> None:
        self.done = done
        self.ids: list[bytes] = []
        self.size = 0
        """Bytes that were cut."""
        self.waiting = 1  # for the end of reading


class Saving:
    """Saves what it is given. Call `finish` or `abandon` at the end."""

    def __init__(
        self,
        repository: Repository,
        on_file: OnFile,
        on_tick: Callable[[], None],
        *,
        workers: int,
        pack_size: int,
        dry_run: bool,
        with_atime: bool,
        devices: Devices,
    ) -> None:
        """`on_file` is told of each file that was given, with what was given as its `ticket`; `on_tick` has a chance
        now and then to tell how far things are.
        """
        self.counts = Counts()
        # Its index is loaded when it is first asked for: a run that finds nothing changed does without.
        self._repository = repository
        self._on_file = on_file
        self._on_tick = on_tick
        self.partial = 0
        """Bytes that were cut of what is not done."""
        self._with_atime = with_atime
        self._devices = devices
        self._workers = workers or min(len(os.sched_getaffinity(0)), 8)
        self._pack_size = pack_size
        self._dry_run = dry_run
        self._spool = None if dry_run else repository.store.spool_folder()
        self._seed = chunker_seed(repository.key)
        self._cutter = Cutter(self._seed)
        self._ring = Ring(self._wait)
        self._uploads = Uploads(repository, lambda pack: repository.blobs.add(pack.id, pack.blobs))
        self._trees = PackWriter(
            self._spool,
            repository.key,
            BlobKind.TREE,
            compression=repository.compression,
            extra_verify=repository.extra_verify,
            pack_size=pack_size,
            discard=dry_run,
        )
        self._new_trees: set[bytes] = set()
        self._crew = Crew(self._settings, self._workers, self._hear)
        self._number = 0
        self._folders: list[tuple[bytes, list[bytes]]] = []
        self._tickets: list[tuple[bytes, bytes, object]] = []
        self._bytes = self._names = 0
        self._batches: dict[int, list[tuple[bytes, bytes, object]]] = {}
        self._grown: list[tuple[bytes, bytes, object]] = []
        """Folder, name and ticket of files that have become large since they were listed."""
        self._chunks: dict[int, tuple[_Cut, int, int]] = {}
        self._zeros = 0
        """Length of a chunk of zeros, once it is known and one is on its way."""
        self._zeros_id = b""

    @property
    def index_names(self) -> list[str]:
        """The index files that were written."""
        return self._uploads.index_names

    def file(self, folder: bytes, name: bytes, size: int, ticket: object) -> None:
        """Have a file read by a worker."""
        folders = self._folders
        if folders and folders[-1][0] == folder:
            folders[-1][1].append(name)
        else:
            folders.append((folder, [name]))
            self._names += len(folder)
        self._tickets.append((folder, name, ticket))
        self._bytes += size
        self._names += len(name)
        if len(self._tickets) >= _BATCH_FILES or self._bytes >= _BATCH_BYTES or self._names >= _BATCH_NAMES:
            self.flush()

    def flush(self) -> None:
        """Give away what was collected."""
        if self._tickets:
            task = Files(self._next(), self._folders)
            self._batches[task.number] = self._tickets
            self._folders, self._tickets = [], []
            self._bytes = self._names = 0
            self._crew.give(task)

    def large_file(self, path: bytes, name: bytes, ticket: object) -> None:
        """Read a file here, and have its chunks saved by workers. `name` is that of its node."""
        try:
            descriptor = open_quietly(path, FILE)
        except OSError as error:
            self._on_file(ticket, SavedFile(b"", 0, f"cannot be opened: {error.strerror}"))
            return
        problems: list[str] = []
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                self._on_file(ticket, SavedFile(b"", 0, "is no longer a file"))
                return
            if let_the_clock_pass(status.st_ctime_ns):
                status = os.fstat(descriptor)
            known = of_origin(status, self._devices)
            node = read_metadata(descriptor, known, problems.append, name=name, with_atime=self._with_atime)
            reader = FileReader(descriptor, status.st_size, sparse=status.st_blocks * 512 < status.st_size)

            failure = ""

            def done(ids: list[bytes]) -> None:
                node.size = reader.position
                node.content = ids
                self._on_file(
                    ticket,
                    SavedFile(b"", 0, failure)
                    if failure
                    else SavedFile(encode_node(node), node.size, "; ".join(problems)),
                )

            cut = _Cut(done)
            try:
                self._cut(cut, reader.read, lambda unread: self._skip(reader, unread))
            except OSError as error:
                failure = f"cannot be read: {error.strerror}"
            else:
                if change := change_since(status, descriptor, reader.position):
                    problems.append(change)
            self._end(cut)
        except OSError as error:
            self._on_file(ticket, SavedFile(b"", 0, f"cannot be read: {error.strerror}"))
        finally:
            os.close(descriptor)

    def stream(self, read: Read, done: Callable[[list[bytes]], None]) -> None:
        """Cut what `read` gives until it gives nothing; `done` gets the ids of the chunks."""
        cut = _Cut(done)
        self._cut(cut, read, None)
        self._end(cut)

    def tree(self, data: bytes) -> bytes:
        """Save a tree; gives its id."""
        id = hashlib.sha256(data).digest()
        if id not in self._new_trees and not self._repository.blobs.has(BlobKind.TREE, id):
            self._new_trees.add(id)
            added = Added()
            added.count(self._trees.add(id, data))
            self.counts.tree_blobs += 1
            self.counts.data_added += added.plain
            self.counts.data_added_packed += added.stored
            if self._trees.full:
                self._finish_trees()
        return id

    def hear(self) -> None:
        """Take what workers have answered, without waiting."""
        self._crew.hear(block=False)

    def drain(self) -> None:
        """Wait until every file that was given has been answered."""
        self.flush()
        while self._crew.busy or self._grown:
            while self._grown:
                folder, name, ticket = self._grown.pop()
                self.large_file(join(folder, name), name, ticket)
            if self._crew.busy:
                self._crew.hear(block=True)

    def finish(self) -> None:
        """Wait until all is in the store, and its index. Raises RepositoryError."""
        self._crew.finish()
        self._finish_trees()
        self._uploads.finish()

    def abandon(self) -> None:
        """Give up: end the workers, and keep what is in the store already for the next run."""
        self._crew.abandon()
        self._trees.abandon()
        self._uploads.abandon()

    def _settings(self) -> Settings:
        return Settings(
            key=self._repository.key,
            compression=self._repository.compression,
            extra_verify=self._repository.extra_verify,
            spool=self._spool,
            seed=self._seed,
            pack_size=self._pack_size,
            with_atime=self._with_atime,
            devices=self._devices,
            dry_run=self._dry_run,
            blobs=self._repository.blobs,
            seen=SeenIds(self._workers),
            ring=self._ring.memory,
        )

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _wait(self) -> None:
        self._crew.hear(block=True)

    def _cut(self, cut: _Cut, read: Read, skip: Callable[[int], int] | None) -> None:
        self.flush()
        for segment, offset, length in self._ring.cut(read, self._cutter, skip):
            cut.size += length
            self.partial += length
            if segment < 0:
                cut.ids.append(self._zeros_id)
                continue
            task = Chunk(self._next(), offset, length)
            self._chunks[task.number] = (cut, len(cut.ids), segment)
            cut.ids.append(b"")
            cut.waiting += 1
            self._crew.give(task)

    def _end(self, cut: _Cut) -> None:
        cut.waiting -= 1
        if not cut.waiting:
            self.partial -= cut.size
            cut.done(cut.ids)

    def _skip(self, reader: FileReader, unread: int) -> int:
        """Pass over a hole that is as long as any chunk: each chunk in it is the same, and only the first is cut."""
        position = reader.position - unread
        if reader.hole_at(position) < MAX_SIZE:
            return 0
        if not self._zeros:
            self._zeros = self._cutter.zeros()
            self._zeros_id = hashlib.sha256(bytes(self._zeros)).digest()
            return 0
        reader.position = position + self._zeros
        return self._zeros

    def _hear(self, answer: Answer) -> None:
        if isinstance(answer, FilesDone):
            self._count(answer.added)
            for file, saved in zip(self._batches.pop(answer.number), answer.files, strict=True):
                if saved.grown:
                    self._grown.append(file)
                else:
                    self._on_file(file[2], saved)
        elif isinstance(answer, ChunkDone):
            self._count(answer.added)
            cut, place, segment = self._chunks.pop(answer.number)
            cut.ids[place] = answer.id
            self._ring.release(segment)
            self._end(cut)
        elif isinstance(answer, PackDone):
            self._upload(answer.pack())
        self._on_tick()

    def _count(self, added: Added) -> None:
        self.counts.data_blobs += added.blobs
        self.counts.data_added += added.plain
        self.counts.data_added_packed += added.stored

    def _finish_trees(self) -> None:
        pack = self._trees.finish()
        if pack is not None:
            self._upload(pack)

    def _upload(self, pack: FinishedPack) -> None:
        if pack.file is not None:  # else it is a dry run
            self._crew.complete()
        self._uploads.add(pack)
