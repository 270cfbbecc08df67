"""Tasks shared out to forked processes.

They inherit what there is to do, and all that the parent has in memory: only outcomes are sent. Threads would share
one interpreter lock, in which much of this work is done. The workers of a backup, who are told what to do as it is
found, are in archive/crew.py.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from typing import Generic, TypeVar

from backup.errors import RepositoryError

TaskT = TypeVar("TaskT")
OutcomeT = TypeVar("OutcomeT")

_PR_SET_PDEATHSIG = 1
_TOKEN = struct.Struct("<I")
_LARGEST_FREED = 31 << 20
_TOKENS = 1024
"""Lots that the tasks are handed out in, at most: what fits into the smallest pipe without a reader."""


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread of its parent that forked it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def keep_memory() -> None:
    """Let what is freed be used again, where pieces of megabytes come and go: new pages cost an eighth of the time.

    glibc gives back to the system what is larger than the largest block that was freed so far (mallopt(3),
    M_MMAP_THRESHOLD and M_TRIM_THRESHOLD), up to 32 MiB. This one is never touched.
    """
    bytes(_LARGEST_FREED)


class Forked(Generic[TaskT, OutcomeT]):
    """Processes that call `work` with each task, and send what it returns, which `pickle` must know.

    They begin at once, also while nobody asks for outcomes, and take the tasks in their order. What `work` raises
    ends all. Use it in a `with`, or call `end`: processes that have not finished are then killed, as they are when
    the thread that made it ends.
    """

    def __init__(self, tasks: Sequence[TaskT], work: Callable[[TaskT], OutcomeT], processes: int) -> None:
        self._tasks = tasks
        self._work = work
        self._lot = max(1, -(-len(tasks) // _TOKENS))
        self._missing = len(tasks)
        self._pids: dict[Connection, int] = {}
        # Whoever is free takes the next lot: a token is read as a whole, and by one process only.
        tokens, giving = os.pipe()
        lots = range(0, len(tasks), self._lot)
        try:
            try:
                os.write(giving, b"".join(map(_TOKEN.pack, lots)))
            finally:
                os.close(giving)
            for _ in range(min(processes, len(lots))):
                self._start(tokens)
        except BaseException:
            self.end()
            raise
        finally:
            os.close(tokens)

    def __enter__(self) -> Forked[TaskT, OutcomeT]:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def outcomes(self, *, block: bool = True) -> Iterator[tuple[int, OutcomeT]]:
        """(place of the task, what `work` returned), in any order: of all that are left, or of those that are there.

        Raises RepositoryError: the one that `work` raised, or one about a mistake or a killed process.
        """
        while self._missing:
            if not self._pids:
                raise RepositoryError(
                    f"a working process was killed; {self._missing} pieces of its work are not done"
                )
            ready = wait(list(self._pids), None if block else 0)
            if not ready:
                return
            for connection in ready:
                assert isinstance(connection, Connection)
                try:
                    place, outcome, error = connection.recv()
                except (EOFError, OSError):
                    self._forget(connection)
                    continue
                if error is not None:
                    raise error
                self._missing -= 1
                yield place, outcome

    def end(self) -> None:
        """End the processes, whatever they are doing."""
        for connection, pid in list(self._pids.items()):
            os.kill(pid, signal.SIGKILL)
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        connection.close()
        os.waitpid(self._pids.pop(connection), 0)

    def _start(self, tokens: int) -> None:
        receiving, sending = Pipe(duplex=False)
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            raise RepositoryError(f"no working process could be started: {error.strerror}") from error
        if pid:
            sending.close()
            self._pids[receiving] = pid
            return
        # Whatever happens here, no handler and no buffer of the parent's is come to.
        try:
            die_with(parent)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            gc.disable()  # a collection would touch, and so copy, every object of the parent
            keep_memory()
            for connection in (receiving, *self._pids):
                connection.close()
            self._take_lots(tokens, sending)
        except BaseException as error:
            if not isinstance(error, RepositoryError):
                error = RepositoryError(f"a working process failed: {type(error).__name__}: {error}")
            with suppress(BaseException):
                sending.send((-1, None, error))
        finally:
            os._exit(0)

    def _take_lots(self, tokens: int, sending: Connection) -> None:
        while token := os.read(tokens, _TOKEN.size):
            (start,) = _TOKEN.unpack(token)
            for place in range(start, min(start + self._lot, len(self._tasks))):
                sending.send((place, self._work(self._tasks[place]), None))
