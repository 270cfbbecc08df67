"""What goes into the files of a batch: planned by the process that reads the trees, done by forked ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from backup.errors import DamagedError, RepositoryError
from backup.forked import Forked
from backup.format.node import Node
from backup.format.pack import BlobKind
from backup.repository.blobs import Location
from backup.repository.repository import Repository
from backup.restore.below import Folder
from backup.restore.plan import Piece, Plan, Target, Wanted, locate
from backup.restore.writing import File, Writer
from backup.stores.contract import FileKind, StoreError

_BATCH_BLOBS = 16384


class Empties(NamedTuple):
    """A task: files without content."""

    files: list[int]


class Copies(NamedTuple):
    """A task: what is right of existing files goes over into the new ones."""

    files: list[int]


Task = Piece | Empties | Copies
Outcome = list[tuple[int, bool, str]]
"""(file's place in the batch, whether it failed, what is wrong)"""


class Link(NamedTuple):
    """A further name of a file."""

    source: File
    folder: Folder
    node: Node


class Batch:
    """Files that are written together, and what waits for them."""

    def __init__(self) -> None:
        self.files: list[File] = []
        self.blobs = 0
        self.links: list[Link] = []
        self.left: list[Folder] = []
        """Folders that hold nothing more, the inner ones first."""
        self.tasks: list[Task] = []
        self.running: Forked[Task, Outcome] | None = None

    def full(self, size: int) -> bool:
        """Whether it is time to write."""
        return len(self.files) >= size or self.blobs >= _BATCH_BLOBS


class Contents:
    """Finds what files consist of, and writes it. One for each process, with the writer's descriptors."""

    def __init__(self, repository: Repository, writer: Writer) -> None:
        self._repository = repository
        self._writer = writer

    def measure(self, file: File) -> bool:
        """Let the file know how long its blobs are. False, with its failure noted, if it cannot become whole."""
        try:
            file.lengths = [length for _, length in locate(file.node, self._find)]
        except DamagedError as error:
            file.failure = str(error)
        return not file.failure

    def _find(self, id: bytes) -> Location | None:
        return self._repository.blobs.find(BlobKind.DATA, id)

    def plan(self, batch: Batch, *, lengths: bool) -> None:
        """Divide what is to be read into tasks, and begin files of several blobs.

        With `lengths` every file knows how long its blobs are.
        """
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
                if lengths:
                    file.lengths = [length for _, length in located]
            except (DamagedError, OSError) as error:
                file.failure = message_of(error)
        batch.tasks = [*plan.pieces()]
        batch.tasks += [Empties(empties[at : at + 64]) for at in range(0, len(empties), 64)]
        batch.tasks += [Copies([number]) for number in copies]

    # In a forked process, mostly

    def work(self, files: Sequence[File], task: Task) -> Outcome:
        """Do one task."""
        if isinstance(task, Piece):
            return self._write_piece(files, task)
        outcome: Outcome = []
        for number in task.files:
            file = files[number]
            try:
                if isinstance(task, Copies):
                    self._writer.copy_parts(file)
                else:
                    outcome += [(number, False, text) for text in self._writer.write_file(file, b"")]
            except OSError as error:
                outcome.append((number, True, message_of(error)))
        return outcome

    def _write_piece(self, files: Sequence[File], piece: Piece) -> Outcome:
        outcome: Outcome = []
        data: memoryview | None = None
        with suppress(StoreError):  # each blob is asked for by itself then, and wherever else it is
            content = self._repository.store.load(FileKind.PACK, piece.pack.hex(), piece.start, piece.length)
            data = memoryview(content)
        for wanted in piece.blobs:
            try:
                blob = self._open(wanted, piece, data)
            except RepositoryError as error:
                outcome += [(target.file, True, str(error)) for target in wanted.targets]
                continue
            for number, offset in wanted.targets:
                file = files[number]
                try:
                    if file.temporary:
                        self._writer.write_part(file, blob, offset)
                        continue
                    problems = self._writer.write_file(file, blob)
                except OSError as error:
                    outcome.append((number, True, message_of(error)))
                    continue
                if problems:
                    outcome += [(number, False, text) for text in problems]
        return outcome

    def _open(self, wanted: Wanted, piece: Piece, data: memoryview | None) -> bytes:
        id, place, _ = wanted
        if data is not None:
            start = place.offset - piece.start
            try:
                return self._repository.open_blob(BlobKind.DATA, id, data[start : start + place.length], place)
            except DamagedError:
                pass  # another copy may be sound
        return self._repository.load_blob(BlobKind.DATA, id)


def message_of(problem: Exception | str) -> str:
    """What to tell of a problem."""
    return (problem.strerror if isinstance(problem, OSError) else None) or str(problem)
