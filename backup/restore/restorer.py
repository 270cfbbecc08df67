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
from pathlib import Path
from typing import Any, TypeVar

from backup.errors import DamagedError, RepositoryError
from backup.forked import Forked
from backup.format.crypto import OVERHEAD
from backup.format.node import FILE, FOLDER, MAX_PATH, SOCKET, Node, shown
from backup.metadata import Applier
from backup.repository.repository import Repository
from backup.restore.below import Descriptors, Folder, remove_all
from backup.restore.contents import Batch, Contents, Empties, Link, Outcome, Task, message_of
from backup.restore.leftovers import remove_leftovers
from backup.restore.options import Action, Options, Overwrite, Progress, everything
from backup.restore.plan import Piece
from backup.restore.writing import File, Writer
from backup.uncollected import uncollected

_FIRST_BATCH = 512
"""Files in the first batch, so that work begins early; each later one is twice as large."""
_LAST_BATCH = 8192
_INLINE_BYTES = 2 << 20
"""Bytes up to which a batch is not worth a fork; so are files up to the next."""
_INLINE_FILES = 32

_T = TypeVar("_T")


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
        self._contents = Contents(self._repository, self._writer)
        try:
            with uncollected():
                self._restore(top, tree)
        finally:
            self._folders.close()
            if root >= 0:
                os.close(root)
        return self.progress

    def _restore(self, top: Folder, tree: bytes) -> None:
        opened: list[Batch] = []
        try:
            for batch in self._batches(top, tree):
                opened.append(batch)
                self._compare(batch)
                self._plan(batch)
                for before in opened[:-1]:
                    self._drain(before)
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

    def _batches(self, top: Folder, tree: bytes) -> Iterator[Batch]:
        size = _FIRST_BATCH
        batch = Batch()
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
                    batch = Batch()
                    size = min(size * 2, _LAST_BATCH)
        yield batch

    def _load(self, folder: Folder, tree: bytes) -> list[Node]:
        try:
            nodes = self._repository.load_tree(tree)
        except RepositoryError as error:
            self._fail(folder.path, error)
            folder.whole = False
            return []
        if self._options.delete or not folder.fresh:
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

    def _take(self, batch: Batch, folder: Folder, node: Node, path: bytes) -> None:
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
                    batch.links.append(Link(first, folder, node))
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

    def _compare(self, batch: Batch) -> None:
        """Find out what of existing files is right already, and give those that are their metadata."""
        existing = []
        for file in batch.files:
            if file.existing and self._contents.measure(file):
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

    def _plan(self, batch: Batch) -> None:
        if not self._options.dry_run:
            self._contents.plan(batch, lengths=self._options.verify)
            return
        for file in batch.files:
            if not file.same and not file.failure and self._contents.measure(file):
                self.progress.bytes_done += file.node.size
                self._told(file)

    def _start(self, batch: Batch) -> None:
        """Begin with what was planned."""

        def work(task: Task) -> Outcome:
            return self._contents.work(batch.files, task)

        if self._is_small(len(batch.files), _bytes(batch.files)):
            for number, task in enumerate(batch.tasks):
                self._account(batch, number, work(task))
        else:
            batch.running = Forked(batch.tasks, work, self._workers)

    def _drain(self, batch: Batch) -> None:
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

    # When a batch is written

    def _account(self, batch: Batch, number: int, outcome: Outcome) -> None:
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
                for target in wanted.targets:
                    file = batch.files[target.file]
                    self._count(file, length)
                    if not file.temporary and not file.failure:
                        self._told(file)
        elif isinstance(task, Empties):
            for place in task.files:
                if not batch.files[place].failure:
                    self._told(batch.files[place])
        else:
            for place in task.files:
                file = batch.files[place]
                self._count(
                    file, sum(length for matches, length in zip(file.matches, file.lengths, strict=True) if matches)
                )

    def _count(self, file: File, length: int) -> None:
        file.counted += length
        self.progress.bytes_done += length

    def _finish(self, batch: Batch) -> None:
        for file in batch.files:
            if file.temporary and not file.failure:
                try:
                    problems = self._writer.finish(file)
                    if problems:
                        self._warn(file.path, problems)
                    self._told(file)
                except OSError as error:
                    file.failure = message_of(error)
            if file.failure:
                self.progress.bytes_done -= file.counted  # what was written of it is gone again
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

    def _link(self, link: Link) -> None:
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
            if not dry_run and folder.expected is not None and not folder.fresh:
                self._remove_leftovers(folder, descriptor)
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

    def _remove_leftovers(self, folder: Folder, descriptor: int) -> None:
        try:
            remove_leftovers(descriptor, folder.expected or ())
        except OSError as error:
            self._options.on_warning(folder.path, f"leftovers of a restore that was killed: {message_of(error)}")

    # Telling

    def _fail(self, path: bytes, problem: Exception | str) -> None:
        self.progress.errors += 1
        self._options.on_error(path, message_of(problem))

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
