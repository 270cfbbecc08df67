"""The output of a program, as a stream that fails where the program failed."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from agent.jobs.limits import Limits
from agent.jobs.process import Child, Exit, start, why_not_started
from kit.errors import HostwardError
from kit.terminal import clean

_SAID = 4096
"""Bytes of what it says that are kept to find out why it did not start."""

_REFUSED = b"setpriv: "
"""How the tool begins that could not become the program; that is told in our words."""


class CommandStream:
    """What a program writes to its standard output; its standard error goes to ours. To be used in a `with`."""

    def __init__(self, words: Sequence[str]) -> None:
        """Start it here, with our environment and in our folder. Raises CannotStartError."""
        self._name = clean(words[0])
        program = str(Path(words[0]).absolute()) if "/" in words[0] else words[0]
        self._child: Child | None = start(
            [program, *words[1:]], limits=Limits(time=0), environment=os.environ, folder=str(Path.cwd())
        )
        self._said = bytearray()
        self._selector = selectors.DefaultSelector()
        for descriptor in (self._child.output, self._child.error):
            self._selector.register(descriptor, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        if self._child is not None:
            self._child.signal_group(signal.SIGKILL)
            self._child.reap()

    def readinto(self, into: memoryview) -> int:
        """Read what there is, waiting for something; 0 at the end of a program that did well.

        Raises HostwardError where it did not.
        """
        child = self._child
        if child is None:
            return 0
        while self._selector.get_map():
            for key, _ in self._selector.select():
                if key.fd == child.error:
                    self._hear(child.error)
                elif count := os.readv(child.output, [into]):
                    return count
                else:
                    self._selector.unregister(child.output)
        self._child = None
        self._judge(child.reap())
        return 0

    def _hear(self, descriptor: int) -> None:
        said = os.read(descriptor, 65536)
        if not said:
            self._selector.unregister(descriptor)
            return
        if not self._said and said.startswith(_REFUSED):
            self._said += said
            return
        self._said += said[: _SAID - len(self._said)]
        os.write(2, said)

    def _judge(self, end: Exit) -> None:
        if end.code == 0:
            return
        how = f"exit code {end.code}" if end.code > 0 else f"signal {-end.code}"
        why = why_not_started(end.code, self._said) or f"{self._name} failed with {how}"
        raise HostwardError(f"{why}; no snapshot was made")
