"""Counting what is in logs with all processors.

What is to be read is cut into tasks by the logs alone, and what these count is joined in their order: the answer does
not depend on the number of processes. Only as many tasks are given out as keep the processes busy, so that what waits
for its turn stays small.
"""

from __future__ import annotations

import gc
import mmap
import os
import select
import signal
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import tzinfo
from itertools import islice
from typing import NamedTuple

import msgspec

from agent.logs import journal, journal_usage
from agent.logs.analyse import reading
from agent.logs.analyse.count import Window, count_access, count_messages
from agent.logs.analyse.formats.access import Dialect
from agent.logs.analyse.reading import Piece
from agent.logs.analyse.recognise import ACCESS, SAMPLE, reader_of, recognise
from agent.logs.analyse.summary import Summary
from agent.logs.analyse.times import Clock
from agent.logs.journal import JournalError
from kit.errors import HostwardError

_WORTH_IT = 4 << 20
"""Bytes from which on another process is worth its start."""
_SAMPLE_BYTES = 1 << 18
_JOURNAL_LINES = 4096
_NUMBER = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")


class Task(NamedTuple):
    """What one process counts at a time: a part of a file, or all of a unit's entries."""

    source: int
    """Which of the sources it is of."""
    piece: Piece | None
    unit: str | None
    """Of the journal; empty for all units. Neither a piece nor a unit: standard input."""
    start: int
    end: int | None
    format: str
    """Its name; empty where its first lines show it."""
    sample: Sequence[bytes]


class Outcome(msgspec.Struct):
    """What a task came to. An error may have come after a part of it was counted."""

    summary: Summary
    error: str | None = None


class WorkError(HostwardError):
    """A process that was counting ended before it was done."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Outcome)


def tasks_of(source: int, piece: Piece, zone: tzinfo) -> list[Task]:
    """The tasks that a file is cut into. Raises UnreadableLogError where not even its beginning can be read."""
    clock = Clock(zone, piece.written)
    if not piece.size:  # A pipe can be read only once.
        return [Task(source, piece, None, 0, None, "", ())]
    sample: list[bytes] = []
    with closing(reading.chunks(piece)) as found:
        for chunk, _ in islice(found, 1):
            sample = chunk[:_SAMPLE_BYTES].split(b"\n")[:SAMPLE]
    format_ = recognise(sample, clock)
    if piece.is_compressed:
        return [Task(source, piece, None, 0, None, format_, sample)]
    return [Task(source, piece, None, start, end, format_, sample) for start, end in reading.blocks(piece.size)]


class Work:
    """All tasks, shared out to processes."""

    def __init__(
        self, tasks: Sequence[Task], window: Window, before: float, zone: tzinfo, now: float, processes: int
    ) -> None:
        """Lines before `window` are looked at from `before` on, to know which shapes are new."""
        self.tasks = tasks
        self._window = window
        self._before = before
        self._zone = zone
        self._now = now
        heavy = sum(1 for task in tasks if _weight(task) > _WORTH_IT)
        total = sum(map(_weight, tasks))
        self._processes = max(1, min(processes, len(tasks))) if heavy > 1 or total > 2 * _WORTH_IT else 1
        self._done = mmap.mmap(-1, _LENGTH.size * self._processes)
        self.total = sum(task.piece.size for task in tasks if task.start == 0 and task.piece is not None)
        """Bytes of all files."""

    @property
    def done(self) -> int:
        """Bytes that were read so far; of compressed files, those that came out of them."""
        return sum(each[0] for each in _LENGTH.iter_unpack(self._done[:]))

    def outcomes(self) -> Iterator[Outcome]:
        """What each task came to, in their order. Raises WorkError."""
        enabled = gc.isenabled()
        gc.disable()  # Nothing here makes cycles; a collection would look at each row and copy a parent's pages.
        try:
            if self._processes == 1:
                for task in self.tasks:
                    yield self._count(task, 0)
            else:
                yield from self._shared()
        finally:
            if enabled:
                gc.enable()

    def _shared(self) -> Iterator[Outcome]:
        taking, giving = os.pipe()
        workers: dict[int, tuple[int, bytearray]] = {}
        ready: dict[int, bytes] = {}
        given = 0
        try:
            for number in range(self._processes):
                receiving, pid = self._start(number, taking, giving, list(workers))
                workers[receiving] = (pid, bytearray())
            poll = select.poll()
            for receiving in workers:
                poll.register(receiving, select.POLLIN)
            for place in range(len(self.tasks)):
                while place not in ready:
                    while given < min(len(self.tasks), place + 2 * self._processes):
                        os.write(giving, _NUMBER.pack(given))
                        given += 1
                    for receiving, _ in poll.poll():
                        pid, buffer = workers[receiving]
                        data = os.read(receiving, 1 << 20)
                        if not data:
                            raise WorkError("a process that was counting lines was killed")
                        buffer += data
                        ready.update(_messages(buffer))
                yield _DECODER.decode(ready.pop(place))
        finally:
            os.close(giving)
            os.close(taking)
            for receiving, (pid, _) in workers.items():
                os.close(receiving)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _start(self, number: int, taking: int, giving: int, others: Sequence[int]) -> tuple[int, int]:
        receiving, sending = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            os.close(sending)
            return receiving, pid
        # Whatever happens here, no handler and no buffer of the parent's is come to.
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for descriptor in (receiving, giving, *others):
                os.close(descriptor)
            while token := os.read(taking, _NUMBER.size):
                (place,) = _NUMBER.unpack(token)
                body = _ENCODER.encode(self._count(self.tasks[place], number))
                _write_all(sending, _NUMBER.pack(place) + _LENGTH.pack(len(body)) + body)
        finally:
            os._exit(0)

    def _count(self, task: Task, worker: int) -> Outcome:
        summary = Summary()
        try:
            if task.piece is not None:
                found = reading.chunks(task.piece, task.start, task.end)
                self._count_chunks(found, task, Clock(self._zone, task.piece.written), summary, worker)
            elif task.unit is not None:
                self._count_journal(task.unit, summary)
            else:
                found = reading.lines_of(sys.stdin.buffer)
                self._count_chunks(found, task, Clock(self._zone, self._now), summary, worker)
        except HostwardError as error:
            return Outcome(summary, str(error))
        return Outcome(summary)

    def _count_chunks(
        self, found: Iterator[tuple[bytes, int]], task: Task, clock: Clock, summary: Summary, worker: int
    ) -> None:
        format_, sample = task.format, task.sample
        count: Callable[[bytes], None] | None = None
        for chunk, cut in found:
            if count is None:
                if not format_:
                    sample = chunk[:_SAMPLE_BYTES].split(b"\n")[:SAMPLE]
                    format_ = recognise(sample, clock)
                count = self._counter(format_, sample, clock, summary)
            summary.cut += cut
            count(chunk)
            summary.settle()
            (so_far,) = _LENGTH.unpack_from(self._done, worker * _LENGTH.size)
            _LENGTH.pack_into(self._done, worker * _LENGTH.size, so_far + len(chunk) + 1)

    def _counter(
        self, format_: str, sample: Sequence[bytes], clock: Clock, summary: Summary
    ) -> Callable[[bytes], None]:
        if format_ == ACCESS:
            dialect = Dialect([line for line in sample if line])
            return lambda chunk: count_access(chunk, dialect, clock, self._window, summary)
        entry = reader_of(format_)
        return lambda chunk: count_messages(chunk.split(b"\n"), entry, clock, self._window, summary)

    def _count_journal(self, unit: str, summary: Summary) -> None:
        clock = Clock(self._zone, self._now)
        filters = [f"--unit={unit}"] if unit else []
        if self._before != float("-inf"):
            filters.append(f"--since=@{int(self._before)}")
        if self._window.until != float("inf"):
            filters.append(f"--until=@{int(self._window.until) + 1}")
        entry = reader_of("json")
        said_anything = False
        with closing(journal.rows(filters)) as rows:
            while lines := list(islice(rows, _JOURNAL_LINES)):
                said_anything = True
                count_messages(lines, entry, clock, self._window, summary)
                summary.settle()
        if not said_anything and not journal_usage.size_of():
            raise JournalError(journal_usage.NO_JOURNAL)  # journalctl itself says so to nobody


def _weight(task: Task) -> int:
    if task.piece is None:
        return _WORTH_IT + 1  # how much it is shows only when it is read
    if task.piece.is_compressed:
        return 8 * task.piece.size
    return (task.end or 0) - task.start


def _messages(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """The complete messages at the beginning of the buffer, which are taken out of it."""
    head = _NUMBER.size + _LENGTH.size
    while len(buffer) >= head:
        (place,) = _NUMBER.unpack_from(buffer)
        (length,) = _LENGTH.unpack_from(buffer, _NUMBER.size)
        if len(buffer) < head + length:
            return
        yield place, bytes(buffer[head : head + length])
        del buffer[: head + length]


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
