"""Work shared out to forked processes.

They inherit what there is to do: nothing is serialized on the way there, and only outcomes on the way back. Threads
would share one interpreter lock, which small files spend most of their time in.
"""

from __future__ import annotations

import fcntl
import gc
import marshal
import os
import selectors
import signal
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from agent.backup.errors import RepositoryError

T = TypeVar("T")

_TOKEN = struct.Struct("<I")
_LENGTH = struct.Struct("<I")
_PIPE = 64 << 10
"""Bytes that a pipe holds anywhere on Linux; the tokens of a run must fit."""


class Forked(Generic[T]):
    """Runs `work` on each task in forked processes, which take the tasks in their order from a common queue.

    `work` returns what `marshal` can write. Used as a context manager, which ends the processes in any case.
    """

    def __init__(self, tasks: Sequence[T], work: Callable[[T], Any], processes: int) -> None:
        self._buffers: dict[int, bytearray] = {}
        self._children: list[int] = []
        self._selector = selectors.DefaultSelector()
        self._missing = len(tasks)
        stride = -(-len(tasks) * _TOKEN.size // _PIPE) or 1
        queue, fill = os.pipe()
        with suppress(OSError):
            fcntl.fcntl(fill, fcntl.F_SETPIPE_SZ, _PIPE)
        os.write(fill, b"".join(_TOKEN.pack(start) for start in range(0, len(tasks), stride)))
        os.close(fill)
        try:
            for _ in range(min(processes, len(tasks))):
                self._fork(tasks, stride, work, queue)
        except BaseException:
            self.end()
            raise
        finally:
            os.close(queue)

    def _fork(self, tasks: Sequence[T], stride: int, work: Callable[[T], Any], queue: int) -> None:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                # A collection would touch, and so copy, every object of the parent.
                gc.disable()
                while token := os.read(queue, _TOKEN.size):
                    (start,) = _TOKEN.unpack(token)
                    for number in range(start, min(start + stride, len(tasks))):
                        message = marshal.dumps((number, work(tasks[number])))
                        _write(write, _LENGTH.pack(len(message)) + message)
                status = 0
            except (
                BaseException
            ) as error:  # whatever it is, the parent tells of it and no handler of the parent's runs
                with suppress(BaseException):
                    message = marshal.dumps((-1, f"{type(error).__name__}: {error}"))
                    _write(write, _LENGTH.pack(len(message)) + message)
            finally:
                os._exit(status)
        os.close(write)
        self._children.append(child)
        self._buffers[read] = bytearray()
        self._selector.register(read, selectors.EVENT_READ)

    def outcomes(self, *, wait: bool = True) -> Iterator[tuple[int, Any]]:
        """(number of the task, what `work` returned) of those that have ended; all that are left with `wait`.

        Raises RepositoryError where a process died.
        """
        while self._buffers:
            ready = self._selector.select(None if wait else 0)
            if not ready:
                return
            for key, _ in ready:
                read = key.fd
                data = os.read(read, 1 << 16)
                if not data:
                    self._selector.unregister(read)
                    os.close(read)
                    del self._buffers[read]
                    continue
                buffer = self._buffers[read]
                buffer += data
                yield from self._messages(buffer)
        if self._missing:
            raise RepositoryError(
                f"a process that restored was killed; {self._missing} pieces of its work are not done"
            )

    def _messages(self, buffer: bytearray) -> Iterator[tuple[int, Any]]:
        at = 0
        while len(buffer) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, at)
            end = at + _LENGTH.size + length
            if len(buffer) < end:
                break
            number, outcome = marshal.loads(bytes(buffer[at + _LENGTH.size : end]))  # noqa: S302  # our own child's
            at = end
            if number < 0:
                raise RepositoryError(f"a process that restored failed: {outcome}")
            self._missing -= 1
            yield number, outcome
        del buffer[:at]

    def end(self) -> None:
        """End the processes, whatever they are doing."""
        for read in self._buffers:
            os.close(read)
        self._buffers.clear()
        self._selector.close()
        for child in self._children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        self._children.clear()

    def __enter__(self) -> Forked[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
