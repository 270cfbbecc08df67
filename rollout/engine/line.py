"""The line to the runner: what is told, and what is asked and answered."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import gevent
import msgspec
from gevent.event import AsyncResult
from gevent.fileobject import FileObjectPosix
from gevent.queue import Queue
from pyinfra.api.exceptions import PyinfraError

from deploys.kit.permits import Holds
from rollout.engine.masks import Masks
from rollout.protocol import LOOKED, Answer, Ask, GiveBack, Looked, Message
from rollout.uptime import uptime

LOST = 70
"""The exit code of a process whose runner is gone: EX_SOFTWARE, which the runner never sees."""


class _Leave:
    """What the runner said of one Ask."""

    def __init__(self) -> None:
        self.answered: AsyncResult[Answer] = AsyncResult()
        self._last = Answer(number=0, granted=False)

    def heard(self, answer: Answer) -> None:
        """The first answer, or a later one."""
        self._last = answer
        if not self.answered.ready():
            self.answered.set(answer)

    def holds(self) -> bool:
        """Whether it is given, and neither lost since nor over."""
        last = self._last
        return last.granted and (last.until is None or uptime() < last.until)


class RefusedError(PyinfraError):
    """What was asked for may not be done now; the text is the runner's reason."""


class Line:
    """Both directions. What is told is written in the order in which it was told, while the hosts go on."""

    def __init__(self, reading: int, writing: int, masks: Masks) -> None:
        self._in = FileObjectPosix(reading, "rb")
        self._out = FileObjectPosix(writing, "wb", bufsize=0)
        self._masks = masks
        self._queue: Queue[bytes | None] = Queue()
        self._asked: dict[int, _Leave] = {}
        self._numbers = count(1)
        self._writer = gevent.spawn(self._write)
        gevent.spawn(self._listen)

    def say(self, message: Message) -> None:
        """Tell it, without waiting for anybody."""
        self._queue.put(msgspec.json.encode(self._masks.covered(msgspec.to_builtins(message))) + b"\n")

    @contextmanager
    def leave(self, host: str, what: str) -> Iterator[Holds]:
        """Wait for leave to do `what`, and hold it until the block ends. Raises RefusedError."""
        number = next(self._numbers)
        leave = self._asked[number] = _Leave()
        self.say(Ask(number=number, host=host, what=what))
        try:
            answer = leave.answered.get()
            if not answer.granted:
                raise RefusedError(f"no leave for {what}: {answer.reason or 'the runner said no'}")
            yield leave.holds
        finally:
            del self._asked[number]
            self.say(GiveBack(number=number))

    def looked(self) -> None:
        """Tell that all were looked at, and wait until that is kept."""
        leave = self._asked[LOOKED] = _Leave()
        self.say(Looked())
        leave.answered.get()
        del self._asked[LOOKED]

    def close(self) -> None:
        """Return when everything was written."""
        self._queue.put(None)
        self._writer.join()

    def _write(self) -> None:
        while (line := self._queue.get()) is not None:
            try:
                while line:
                    line = line[self._out.write(line) :]
            except OSError:
                os._exit(LOST)

    def _listen(self) -> None:
        for line in self._in:
            answer = msgspec.json.decode(line, type=Answer)
            asked = self._asked.get(answer.number)
            if asked is not None:
                asked.heard(answer)
        # Nobody keeps the journal of what would happen from here on, and another run may start on the same hosts.
        os._exit(LOST)
