"""Once a day: what the host's logs say of the day before, for the next report.

A process of its own reads them, with the daemon's rights, low priority and a limit of time. The summary and the note
that the day is done are kept in one transaction.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.daemon.ledger import Ledger
from agent.jobs.limits import Limits
from agent.jobs.run import Ended
from agent.jobs.supervisor import Jobs
from agent.state import State
from wire.report import Event, LogSummary

log = logging.getLogger(__name__)

LOOK = 600.0
"""Seconds between looks whether a day is over."""
DONE = "logs.day"
"""Key of the last day that was told."""
JOB = "logs:day"
"""No configured job or check can have this name."""
TRIES = 3
"""Of one day; then it is left out."""
_SPREAD = 1800
"""Seconds after midnight over which the hosts of a fleet spread."""
_LIMITS = Limits(time=3600.0, nice=19, idle_io=True, output=1 << 19)
_decode = msgspec.json.Decoder(LogSummary).decode


class Day(NamedTuple):
    """A day of the host's calendar."""

    name: str
    """`2026-11-22`"""
    since: float
    until: float
    """Seconds since the epoch."""


def yesterday(now: float, host: str) -> Day:
    """The last day that is over for long enough: hosts do not all look at the same moment."""
    spread = int.from_bytes(blake2b(host.encode(), digest_size=4).digest(), "big") % _SPREAD
    year, month, day, *_ = time.localtime(now - spread)
    # Of days with a change of the clock, mktime knows how long they are: -1 lets it find out.
    since, until = (time.mktime((year, month, each, 0, 0, 0, 0, 0, -1)) for each in (day - 1, day))
    return Day(time.strftime("%Y-%m-%d", time.localtime(since)), since, until)


class LogDays:
    """Sees to it that each day is told, while there is a home."""

    def __init__(
        self, jobs: Jobs, ledger: Ledger, state: State, *, host: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._jobs = jobs
        self._ledger = ledger
        self._folder = state.folder
        self._host = host
        self._clock = clock
        self._done = state.get(DONE)
        self._tried: tuple[str, int] = ("", 0)
        self.enabled = True

    def look(self) -> None:
        """Begin with a day that is over and was not told."""
        if not self.enabled or not self._ledger.reporting:
            return
        day = yesterday(self._clock(), self._host)
        name, tries = self._tried if self._tried[0] == day.name else (day.name, 0)
        if day.name == self._done or tries >= TRIES:
            return
        if self._jobs.start_command(
            JOB, command(day, self._folder), limits=_LIMITS, environment=_zone(), on_end=partial(self._ended, day)
        ):
            self._tried = name, tries + 1

    def _ended(self, day: Day, ended: Ended) -> None:
        try:
            if ended.outcome != "done":
                raise ValueError(ended.message)
            summary = _decode(ended.output)
        except ValueError as error:
            self._ledger.event(
                Event(
                    time=self._clock(),
                    kind="logs.failed",
                    message=f"the logs of {day.name} could not be summed up: {error}",
                    state="warning",
                )
            )
            return
        self._done = day.name
        self._ledger.log_summary(summary)
        self._ledger.put(DONE, day.name)


def command(day: Day, folder: Path) -> list[str]:
    """What prints the summary of a day."""
    words = (day.name, repr(day.since), repr(day.until), str(folder))
    return [sys.executable, "-P", "-m", "agent.logs.analyse.daily", *words]


def _zone() -> dict[str, str]:
    """Days begin when the daemon says so: a child has nothing else of its environment."""
    return {"TZ": os.environ["TZ"]} if "TZ" in os.environ else {}
