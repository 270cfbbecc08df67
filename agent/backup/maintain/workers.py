"""Numbered pieces of work, done by forked processes that share what the parent has in memory."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, Pipe, wait
from typing import Generic, TypeVar

from agent.backup.errors import RepositoryError

_TOKENS = 512
"""Pieces of work are handed out in so many lots at most: what fits into the smallest pipe without a reader."""
_TOKEN = 8
"""Bytes of one."""

ResultT = TypeVar("ResultT")


class Workers(Generic[ResultT]):
    """Processes that call `work` with each number below `count` and send what it returns.

    They begin at once, also while nobody asks for results. `work` is called in the child; what it raises ends all.
    Close them, or use them in a `with`: processes that have not finished are then killed.
    """

    def __init__(self, count: int, work: Callable[[int], ResultT], *, processes: int) -> None:
        self._lot = max(1, -(-count // _TOKENS))
        self._count = count
        self._pids: dict[Connection, int] = {}
        self._done = 0
        # Whoever is free takes the next lot; reads of a pipe are whole and nobody's twice.
        tokens, giving = os.pipe()
        try:
            lots = range(0, count, self._lot)
            os.write(giving, b"".join(start.to_bytes(_TOKEN, "little") for start in lots))
        finally:
            os.close(giving)
        try:
            for _ in range(min(processes, len(lots))):
                self._start(tokens, work)
        except BaseException:
            self.close()
            raise
        finally:
            os.close(tokens)

    def __enter__(self) -> Workers[ResultT]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[ResultT]:
        """Results as they come, until all are there. Raises RepositoryError where a process ended before its work."""
        while self._done < self._count:
            yield from self.ready(None)

    def ready(self, timeout: float | None = 0) -> Iterator[ResultT]:
        """Results that are there, or come within `timeout` seconds (None: however long it takes)."""
        for connection in wait(list(self._pids), timeout):
            assert isinstance(connection, Connection)
            try:
                result, error = connection.recv()
            except EOFError:
                self._end(connection)
                if not self._pids and self._done < self._count:
                    raise RepositoryError("a working process ended before its work; was it killed?") from None
                continue
            if error is not None:
                raise error
            self._done += 1
            yield result

    def close(self) -> None:
        """End the processes."""
        for connection in list(self._pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pids[connection], signal.SIGKILL)
            self._end(connection)

    def _end(self, connection: Connection) -> None:
        connection.close()
        os.waitpid(self._pids.pop(connection), 0)

    def _start(self, tokens: int, work: Callable[[int], ResultT]) -> None:
        receiving, sending = Pipe(duplex=False)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            sending.close()
            self._pids[receiving] = pid
            return
        # The child ends without handlers and buffers of its parent, whatever happens.
        try:
            gc.disable()  # a collection would touch, and so copy, every object of the parent
            receiving.close()
            for other in self._pids:
                other.close()
            self._work(tokens, sending, work)
        except BaseException as error:
            with contextlib.suppress(BaseException):
                sending.send(
                    (
                        None,
                        error
                        if isinstance(error, RepositoryError)
                        else RepositoryError(f"a working process failed: {error!r}"),
                    )
                )
        finally:
            os._exit(0)

    def _work(self, tokens: int, sending: Connection, work: Callable[[int], ResultT]) -> None:
        while token := os.read(tokens, _TOKEN):
            start = int.from_bytes(token, "little")
            for number in range(start, min(start + self._lot, self._count)):
                sending.send((work(number), None))
