"""Restores a tree of a repository into a folder.

One process reads the trees, makes folders and all that has no content, and gathers files into batches. For each batch
it plans which ranges of packs are wanted, and forks processes that read them, open the blobs and write the files,
while it gathers the next. When a batch is written it does what must come after: files of several blobs get their
names, hard links are made, what the snapshot lacks is deleted, and folders that are complete get their metadata.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from agent.backup.errors import DamagedError, RepositoryError
from agent.backup.forked import Forked
from agent.backup.format.crypto import OVERHEAD
from agent.backup.format.node import FILE, FOLDER, MAX_PATH, SOCKET, Node, shown
from agent.backup.format.pack import BlobKind
from agent.backup.metadata import Applier
from agent.backup.repository.blobs import Location
from agent.backup.repository.repository import Repository
from agent.backup.restore.below import Descriptors, Folder, remove_all
from agent.backup.restore.options import Action, Options, Overwrite, Progress, everything
from agent.backup.restore.plan import Piece, Plan, Target, Wanted, locate
from agent.backup.restore.writing import File, Writer
from agent.backup.stores.contract import FileKind, StoreError

_FIRST_BATCH = 512
"""Files in the first batch, so that work begins early; each later one is twice as large."""
_LAST_BATCH = 8192
_BATCH_BLOBS = 16384
_INLINE_BYTES = 2 << 20
"""Bytes up to which a batch is not worth a fork; so are files up to the next."""
_INLINE_FILES = 32

_T = TypeVar("_T")


class _Empties(NamedTuple):
    """A task: files without content."""

    files: list[int]


class _Copies(NamedTuple):
    """A task: what is right of existing files goes over into the new ones."""

    files: list[int]


_Task = Piece | _Empties | _Copies
_Outcome = list[tuple[int, bool, str]]
"""(file's place in the batch, whether it failed, what is wrong)"""


class _Link(NamedTuple):
    """A further name of a file."""

    source: File
    folder: Folder
    node: Node


class _Batch:
    """Files that are written together, and what waits for them."""

    def __init__(self) -> None:
        self.files: list[File] = []
        self.blobs = 0
        self.links: list[_Link] = []
        self.left: list[Folder] = []
        """Folders that hold nothing more, the inner ones first."""
        self.tasks: list[_Task] = []
        self.running: Forked[_Task, _Outcome] | None = None

    def full(self, size: int) -> bool:
        """Whether it is time to write."""
        return len(self.files) >= size or self.blobs >= _BATCH_BLOBS


class _Frame:
    """A folder whose tree is being read."""

    __slots__ = ("folder", "nodes", "prefix", "restored")

    def __init__(self, folder: Folder, prefix: bytes, nodes: list[Node], *, restored: bool) -> None:
        self.folder = folder
        self.prefix = prefix
        """Its path within the snapshot, with a slash at the end."""
        # Each is let go of as soon as it is dealt with.
        self.nodes = nodes
        nodes.reverse()
        self.restored = restored
        """Whether it, or something in it, is selected."""


class Restorer:
    """Restores once. What fails is named through the options, and the rest is restored."""

    def __init__(self, repository: Repository, target: Path, options: Options) -> None:
        self.progress: Progress = options.progress
        self._repository = repository
        self._target = target
        self._options = options
        self._workers = options.workers or min(4, len(os.sched_getaffinity(0)))
        self._hard_links: dict[tuple[int, int], File] = {}
        self._left: tuple[Folder | None, bytes] = None, b""

    def run(self, tree: bytes) -> Progress:
        """Restore the tree of this id. Raises OSError where the target cannot be made or opened, RepositoryError."""
        options = self._options
        top = Folder(None, b"", None)
        try:
            if not options.dry_run:
                self._target.mkdir(mode=0o700, parents=True, exist_ok=True)
            root = os.open(self._target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileExistsError, NotADirectoryError):
            raise RepositoryError(
                f"{self._target}: expected a folder to restore into; a file stands in its place or above it"
            ) from None
        except FileNotFoundError:  # a dry run
            root = -1
            top.fresh = True
        self._folders = Descriptors(root)
        self._applier = Applier(by_name=options.owners_by_name, select_attribute=options.select_attribute)
        self._writer = Writer(self._folders, self._applier, sparse=options.sparse, delete=options.delete)
        try:
            self._restore(top, tree)
        finally:
            self._folders.close()
            if root >= 0:
                os.close(root)
        return self.progress

    def _restore(self, top: Folder, tree: bytes) -> None:
        opened: list[_Batch] = []
        try:
            for batch in self._batches(top, tree):
                opened.append(batch)
                for before in opened[:-1]:
                    self._drain(before)
                self._compare(batch)
                self._start(batch)
                for before in opened[:-1]:
                    self._finish(before)
                    opened.remove(before)
            for batch in opened:
                self._drain(batch)
                self._finish(batch)
            opened.clear()
        finally:
            for batch in opened:
                if batch.running is not None:
                    batch.running.end()
                for file in batch.files:
                    self._writer.abandon(file)

    # Reading trees

    def _batches(self, top: Folder, tree: bytes) -> Iterator[_Batch]:
        size = _FIRST_BATCH
        batch = _Batch()
        stack = [_Frame(top, b"/", self._load(top, tree), restored=False)]
        while stack:
            frame = stack[-1]
            if not frame.nodes:
                stack.pop()
                if frame.restored:
                    batch.left.append(frame.folder)
                    if stack:
                        stack[-1].restored = True
                continue
            node = frame.nodes.pop()
            path = frame.prefix + node.name
            is_folder = node.type == FOLDER
            selected, inner = (
                (True, is_folder) if self._options.select is everything else self._options.select(path, is_folder)
            )
            if is_folder:
                entered = self._enter(frame, node, path, selected=selected, inner=inner)
                if entered is not None:
                    stack.append(entered)
            elif selected and node.type != SOCKET:  # nobody would listen at a socket that is restored
                frame.restored = True
                try:
                    self._take(batch, frame.folder, node, path)
                except (OSError, DamagedError) as error:
                    self._fail(path, error)
                if batch.full(size):
                    yield batch
                    batch = _Batch()
                    size = min(size * 2, _LAST_BATCH)
        yield batch

    def _load(self, folder: Folder, tree: bytes) -> list[Node]:
        try:
            nodes = self._repository.load_tree(tree)
        except RepositoryError as error:
            self._fail(folder.path, error)
            folder.whole = False
            return []
        if self._options.delete:
            folder.expected = {node.name for node in nodes}
        return nodes

    def _enter(self, frame: _Frame, node: Node, path: bytes, *, selected: bool, inner: bool) -> _Frame | None:
        if node.subtree is None:
            self._fail(path, "is a folder without a tree")
            return None
        folder = Folder(frame.folder, node.name, node)
        if len(path) > MAX_PATH:
            self._fail(path[-200:], f"lies deeper than {MAX_PATH} bytes of a path can say")
            return None
        if selected:
            frame.restored = True
            self.progress.files += 1
            try:
                self._make(folder)
            except OSError as error:
                self._fail(path, error)
                return None
        elif not inner:
            return None
        if not inner:
            folder.whole = False
        return _Frame(folder, path + b"/", self._load(folder, node.subtree) if inner else [], restored=selected)

    def _make(self, folder: Folder) -> None:
        if folder.ready:
            return
        replace = self._options.overwrite is not Overwrite.NEVER
        if self._options.dry_run:
            self._folders.look(folder, replace=replace)
        else:
            self._folders.make(folder, replace=replace)

    def _take(self, batch: _Batch, folder: Folder, node: Node, path: bytes) -> None:
        """See to an entry that is no folder. Raises OSError, DamagedError."""
        self.progress.files += 1
        self._make(folder)
        status = self._folders.status(folder, node.name)
        overwritten = status is None or self._overwrites(node, status)
        if node.type != FILE:
            if not overwritten:
                self._skip(path, 0)
                return
            if not self._options.dry_run:
                self._warn(path, self._writer.write_other(folder, node))
            self.progress.files_done += 1
            self._tell(Action.OTHER_RESTORED, path)
            return
        file = File(folder, node.name, node)
        if node.links > 1:
            first = self._hard_links.setdefault((node.inode, node.device_id), file)
            # Where they differ the file changed while it was saved, or these are of two file systems without numbers.
            if first is not file and first.node.content == node.content:
                if overwritten:
                    batch.links.append(_Link(first, folder, node))
                else:
                    self._skip(path, 0)
                return
        if not overwritten:
            self._skip(path, node.size)
            return
        if status is not None and stat.S_ISREG(status.st_mode):
            file.existing = True
            if (
                self._options.overwrite is Overwrite.IF_CHANGED
                and status.st_size == node.size
                and status.st_mtime_ns == node.mtime_ns
            ):
                if not self._options.dry_run:
                    self._warn(path, self._writer.renew(file))
                self._skip(path, node.size)
                return
        self.progress.bytes += node.size
        batch.files.append(file)
        batch.blobs += len(node.content or ())

    def _overwrites(self, node: Node, status: os.stat_result) -> bool:
        if self._options.overwrite is Overwrite.IF_NEWER:
            return node.mtime_ns > status.st_mtime_ns
        return self._options.overwrite is not Overwrite.NEVER

    # Writing batches

    def _compare(self, batch: _Batch) -> None:
        """Find out what of existing files is right already, and give those that are their metadata."""
        existing = []
        for file in batch.files:
            if file.existing and self._measure(file):
                existing.append(file)
        for number, (matches, problems) in self._share(existing, self._compare_one, _bytes(existing)):
            file = existing[number]
            file.same = all(matches)
            file.matches = matches[:-1]
            if file.same:
                self.progress.bytes -= file.node.size
                self._warn(file.path, problems)
                self._skip(file.path, file.node.size)

    def _compare_one(self, file: File) -> tuple[bytes, list[str]]:
        matches = self._writer.compare(file)
        if self._options.dry_run or not all(matches):
            return matches, []
        try:
            return matches, self._writer.renew(file)
        except OSError as error:
            return matches, [str(error.strerror)]

    def _measure(self, file: File) -> bool:
        """Let the file know how long its blobs are."""
        try:
            file.lengths = [length for _, length in locate(file.node, self._find)]
        except DamagedError as error:
            file.failure = str(error)
        return not file.failure

    def _find(self, id: bytes) -> Location | None:
        return self._repository.blobs.find(BlobKind.DATA, id)

    def _start(self, batch: _Batch) -> None:
        """Plan what is to be read, and begin with it."""
        if self._options.dry_run:
            for file in batch.files:
                if not file.same and not file.failure and self._measure(file):
                    self.progress.bytes_done += file.node.size
                    self._told(file)
            return
        plan = Plan()
        empties: list[int] = []
        copies: list[int] = []
        for number, file in enumerate(batch.files):
            if file.same or file.failure:
                continue
            try:
                located = locate(file.node, self._find)
                content = file.node.content
                if not content:
                    empties.append(number)
                elif len(content) == 1:
                    plan.add(content[0], located[0][0], Target(number, 0))
                else:
                    self._writer.begin(file)
                    if any(file.matches):
                        copies.append(number)
                    offset = 0
                    for index, (place, length) in enumerate(located):
                        if not file.matches or not file.matches[index]:
                            plan.add(content[index], place, Target(number, offset))
                        offset += length
                if self._options.verify:
                    file.lengths = [length for _, length in located]
            except (DamagedError, OSError) as error:
                file.failure = _message(error)
        batch.tasks = [*plan.pieces()]
        batch.tasks += [_Empties(empties[at : at + 64]) for at in range(0, len(empties), 64)]
        batch.tasks += [_Copies([number]) for number in copies]
        if self._is_small(len(batch.files), _bytes(batch.files)):
            for number, task in enumerate(batch.tasks):
                self._account(batch, number, self._work(batch, task))
        else:
            batch.running = Forked(batch.tasks, lambda task: self._work(batch, task), self._workers)

    def _drain(self, batch: _Batch) -> None:
        """Wait until a batch is written."""
        if batch.running is not None:
            with batch.running:
                for number, outcome in batch.running.outcomes():
                    self._account(batch, number, outcome)
            batch.running = None

    def _is_small(self, count: int, size: int) -> bool:
        return self._workers == 1 or (count <= _INLINE_FILES and size <= _INLINE_BYTES)

    def _share(self, tasks: Sequence[_T], work: Callable[[_T], Any], size: int) -> Iterator[tuple[int, Any]]:
        """(number, outcome) of each task, in any order."""
        if self._is_small(len(tasks), size):
            yield from enumerate(map(work, tasks))
            return
        with Forked(tasks, work, self._workers) as running:
            yield from running.outcomes()

    # In a forked process, mostly

    def _work(self, batch: _Batch, task: _Task) -> _Outcome:
        if isinstance(task, Piece):
            return self._write_piece(batch, task)
        outcome: _Outcome = []
        for number in task.files:
            file = batch.files[number]
            try:
                if isinstance(task, _Copies):
                    self._writer.copy_parts(file)
                else:
                    outcome += [(number, False, text) for text in self._writer.write_file(file, b"")]
            except OSError as error:
                outcome.append((number, True, _message(error)))
        return outcome

    def _write_piece(self, batch: _Batch, piece: Piece) -> _Outcome:
        repository = self._repository
        outcome: _Outcome = []
        data: memoryview | None = None
        with suppress(StoreError):  # each blob is asked for by itself then, and wherever else it is
            data = memoryview(repository.store.load(FileKind.PACK, piece.pack.hex(), piece.start, piece.length))
        for wanted in piece.blobs:
            try:
                content = self._open(wanted, piece, data)
            except RepositoryError as error:
                outcome += [(target.file, True, str(error)) for target in wanted.targets]
                continue
            for target in wanted.targets:
                file = batch.files[target.file]
                try:
                    if file.temporary:
                        self._writer.write_part(file, content, target.offset)
                    else:
                        problems = self._writer.write_file(file, content)
                        if problems:
                            outcome += [(target.file, False, text) for text in problems]
                except OSError as error:
                    outcome.append((target.file, True, _message(error)))
        return outcome

    def _open(self, wanted: Wanted, piece: Piece, data: memoryview | None) -> bytes:
        if data is not None:
            start = wanted.place.offset - piece.start
            sealed = data[start : start + wanted.place.length]
            try:
                return self._repository.open_blob(BlobKind.DATA, wanted.id, sealed, wanted.place)
            except DamagedError:
                pass  # another copy may be sound
        return self._repository.load_blob(BlobKind.DATA, wanted.id)

    # When a batch is written

    def _account(self, batch: _Batch, number: int, outcome: _Outcome) -> None:
        for place, failed, text in outcome:
            file = batch.files[place]
            if not failed:
                self._options.on_warning(file.path, text)
            elif not file.failure:
                file.failure = text
        task = batch.tasks[number]
        if isinstance(task, Piece):
            for wanted in task.blobs:
                length = wanted.place.plain_length or wanted.place.length - OVERHEAD
                self.progress.bytes_done += length * len(wanted.targets)
                for target in wanted.targets:
                    file = batch.files[target.file]
                    if not file.temporary and not file.failure:
                        self._told(file)
        elif isinstance(task, _Empties):
            for place in task.files:
                if not batch.files[place].failure:
                    self._told(batch.files[place])
        else:
            for place in task.files:
                file = batch.files[place]
                self.progress.bytes_done += sum(
                    length for matches, length in zip(file.matches, file.lengths, strict=True) if matches
                )

    def _finish(self, batch: _Batch) -> None:
        for file in batch.files:
            if file.temporary and not file.failure:
                try:
                    problems = self._writer.finish(file)
                    if problems:
                        self._warn(file.path, problems)
                    self._told(file)
                except OSError as error:
                    file.failure = _message(error)
            if file.failure:
                self._writer.abandon(file)
                self._fail(file.path, file.failure)
        if self._options.verify and not self._options.dry_run:
            self._verify([file for file in batch.files if not file.failure and not file.same])
        for link in batch.links:
            self._link(link)
        for folder in batch.left:
            self._leave(folder)

    def _verify(self, files: list[File]) -> None:
        for number, matches in self._share(files, self._writer.compare, _bytes(files)):
            self.progress.verified += 1
            if not all(matches):
                files[number].failure = "what was written is not what is read from the disk now"
                self._fail(files[number].path, files[number].failure)

    def _link(self, link: _Link) -> None:
        path = link.folder.path_of(link.node.name)
        if link.source.failure:
            self._fail(path, f"it is the same file as {shown(link.source.path)}, which could not be restored")
            return
        try:
            if not self._options.dry_run:
                self._writer.link(link.source.folder, link.source.name, link.folder, link.node.name)
        except OSError as error:
            self._fail(path, error)
            return
        self.progress.files_done += 1
        self._tell(Action.RESTORED, path)

    def _leave(self, folder: Folder) -> None:
        """Give a folder that is complete its metadata, when it holds nothing that it should not."""
        dry_run = self._options.dry_run
        try:
            descriptor = -1 if dry_run and folder.fresh else self._folders.open(folder)
            if self._options.delete and folder.whole and not folder.fresh:
                self._delete_others(folder, descriptor)
            if folder.node is None:
                return
            if not dry_run:
                problems = self._applier.to_descriptor(descriptor, folder.node)
                if problems:
                    self._warn(folder.path, problems)
                self._folders.forget(folder)
        except OSError as error:
            self._fail(folder.path, error)
            return
        self.progress.files_done += 1
        if self._options.on_item is not None:
            # Mostly the one after its last inner one, of which there may be thousands in each other.
            before, path = self._left
            path = path.rpartition(b"/")[0] if before is not None and before.parent is folder else folder.path
            self._left = folder, path
            self._options.on_item(Action.FOLDER_RESTORED, path, 0)

    def _delete_others(self, folder: Folder, descriptor: int) -> None:
        expected = folder.expected or set()
        for text in os.listdir(descriptor):
            name = os.fsencode(text)
            if name in expected:
                continue
            path = folder.path_of(name)
            # As restic: whether it is a folder is not asked.
            if not self._options.select(path, False)[0]:
                continue
            try:
                if not self._options.dry_run:
                    remove_all(descriptor, name)
            except OSError as error:
                self._fail(path, error)
                continue
            self.progress.deleted += 1
            self._tell(Action.DELETED, path)

    # Telling

    def _fail(self, path: bytes, problem: Exception | str) -> None:
        self.progress.errors += 1
        self._options.on_error(path, _message(problem))

    def _warn(self, path: bytes, problems: list[str]) -> None:
        for problem in problems:
            self._options.on_warning(path, problem)

    def _tell(self, action: Action, path: bytes, size: int = 0) -> None:
        if self._options.on_item is not None:
            self._options.on_item(action, path, size)

    def _told(self, file: File) -> None:
        self.progress.files_done += 1
        if self._options.on_item is not None:
            action = Action.UPDATED if file.existing else Action.RESTORED
            self._options.on_item(action, file.path, file.node.size)

    def _skip(self, path: bytes, size: int) -> None:
        self.progress.files_skipped += 1
        self.progress.bytes_skipped += size
        self._tell(Action.UNCHANGED, path, size)


def _bytes(files: Sequence[File]) -> int:
    return sum(file.node.size for file in files)


def _message(problem: Exception | str) -> str:
    return (problem.strerror if isinstance(problem, OSError) else None) or str(problem)
