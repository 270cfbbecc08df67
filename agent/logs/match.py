"""Looking for patterns in lines, by expressions that may take for ever on one of them."""

from __future__ import annotations

import re
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from agent.logs.tally import Values

TICK = 0.05
"""Seconds of CPU after which it is looked whether a line takes too long."""


class _TooLongError(Exception):
    """A line takes more than its share."""


class Matcher:
    """Counts the lines in which patterns are found.

    `passed_over` lines were not looked at, since the expressions took too long on them (more than `share` seconds),
    or because `deadline` (time.monotonic) had come. Works in the main thread only: a signal is what interrupts an
    expression.
    """

    def __init__(
        self, patterns: Mapping[str, str], ignore: Sequence[str], *, deadline: float, share: float, longest: int
    ) -> None:
        self._patterns = {name: re.compile(pattern) for name, pattern in patterns.items()}
        self._ignore = [re.compile(pattern) for pattern in ignore]
        self._deadline = deadline
        self._share = share
        self._longest = longest
        self._ticked = (-1, 0.0)
        """At which line there was a tick, and when it was the first one of that line."""
        self.found: dict[str, Counter[Values]] = {name: Counter() for name in patterns}
        """Pattern to the values of its named groups to the number of lines."""
        self.lines = 0
        self.passed_over = 0

    def feed(self, lines: Iterable[str]) -> None:
        """Look at these too."""
        with self._ticking():
            for line in lines:
                self.lines += 1
                if time.monotonic() > self._deadline:
                    self.passed_over += 1
                    continue
                try:
                    self._look_at(line[: self._longest])
                except _TooLongError:
                    self.passed_over += 1

    def _look_at(self, line: str) -> None:
        for pattern in self._ignore:
            if pattern.search(line):
                return
        found = [(name, match) for name, pattern in self._patterns.items() if (match := pattern.search(line))]
        for name, match in found:
            self.found[name][tuple(match.groupdict("").values())] += 1

    @contextmanager
    def _ticking(self) -> Iterator[None]:
        """A timer that ticks whatever the number of lines: it costs them nothing."""
        before = signal.signal(signal.SIGVTALRM, self._tick)
        signal.setitimer(signal.ITIMER_VIRTUAL, TICK, TICK)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)

    def _tick(self, number: int, frame: FrameType | None) -> None:
        line, since = self._ticked
        if line != self.lines:
            self._ticked = (self.lines, time.monotonic())
        elif time.monotonic() - since > self._share:
            raise _TooLongError
