"""Folders of logs, each rotated by processes of its own that meet faults or none."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.logs.ground import DAY, NOW, Place, Way
from tests.faults.zygote import Zygote

Fault = tuple[int | str, str]
"""The number of a call that changes something, or the name of one, and what happens at it (lives.py)."""


@dataclass
class Outcome:
    """How a process ended."""

    code: int
    """Its exit code, or the negative number of a signal."""
    said: str
    calls: list[str]
    """The operations that it called; none where it was killed."""
    made: list[str]
    """The names of files that it made."""


class Trial:
    """One folder."""

    def __init__(self, zygote: Zygote, place: Place) -> None:
        self._zygote = zygote
        self.place = place
        self._runs = self._days = 0
        self.pid = 0
        """Of the last process that was begun."""

    def run(self, fault: Fault | None = None, *, words: tuple[str, ...] = (), days: int = 0) -> Outcome:
        """Rotate; each time is a minute later, and as many days."""
        self._days += days
        end = self.begin(fault, words=words)
        return end()

    def begin(self, fault: Fault | None = None, *, words: tuple[str, ...] = ()) -> Callable[[], Outcome]:
        """Begin to; what is returned waits for the end."""
        place, said = self.place, self.place.top / f"said{self._runs}"
        now = NOW + DAY * self._days + 60 * self._runs
        self._runs += 1
        arguments = ["--mail", f"{place.top}/mail", *words, "-s", str(place.state), str(place.conf)]
        pid = self.pid = self._zygote.begin("tests.faults.logs.lives:live", arguments, str(said), now, fault)

        def end() -> Outcome:
            code = self._zygote.end(pid)
            calls = said.with_name(f"{said.name}.json")
            return Outcome(code, said.read_text(), *(json.loads(calls.read_text()) if calls.exists() else ([], [])))

        return end


@dataclass(frozen=True)
class Clean:
    """What becomes of a folder where nothing goes wrong."""

    calls: list[str]
    made: list[str]
    place: Place
    """Afterwards."""


class Trials:
    """Makes them."""

    def __init__(
        self, zygote: Zygote, ways: Mapping[str, Way], top: Path, far: Path, numbers: Iterator[int] | None = None
    ) -> None:
        """`top` and `far` are on two devices."""
        self._zygote = zygote
        self._ways = ways
        self._top = top
        self._far = far
        self._numbers = numbers or itertools.count()
        self._patterns: dict[str, Place] = {}
        self._clean: dict[str, Clean] = {}

    def of(self, ways: Mapping[str, Way]) -> Trials:
        """Others, of these ways."""
        return Trials(self._zygote, ways, self._top, self._far, self._numbers)

    @contextmanager
    def trial(self, way: str) -> Iterator[Trial]:
        """One that is removed afterwards."""
        place = self._copy(way)
        try:
            yield Trial(self._zygote, place)
        finally:
            shutil.rmtree(place.top)
            shutil.rmtree(place.far)

    def clean(self, way: str) -> Clean:
        """What happens where nothing goes wrong."""
        if way not in self._clean:
            place = self._copy(way)
            trial = Trial(self._zygote, place)
            outcome = trial.run()
            assert outcome.code == 0 and not outcome.said, outcome
            assert outcome.calls and not place.left_over()
            self._clean[way] = Clean(outcome.calls, outcome.made, place)
        return self._clean[way]

    def _copy(self, way: str) -> Place:
        if way not in self._patterns:
            number = next(self._numbers)
            pattern = Place(self._top / f"{number}", self._far / f"{number}", self._ways[way])
            pattern.fill()
            mail = pattern.top / "mail"
            mail.write_text('#!/bin/sh\necho "$@" >> "${0%/*}/ran"\ncat > /dev/null\n')
            mail.chmod(0o755)
            self._patterns[way] = pattern
        number = next(self._numbers)
        return self._patterns[way].copied(self._top / f"{number}", self._far / f"{number}")
