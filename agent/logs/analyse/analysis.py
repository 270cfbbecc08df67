"""Analysing logs: what is named, or what there is, into what it says."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import tzinfo
from pathlib import Path
from typing import NamedTuple

from agent.logs.analyse import known as memory
from agent.logs.analyse import reading, result
from agent.logs.analyse.count import Window, digest
from agent.logs.analyse.known import Known
from agent.logs.analyse.reading import UnreadableLogError
from agent.logs.analyse.result import Analysis
from agent.logs.analyse.summary import Summary
from agent.logs.analyse.times import DAY
from agent.logs.analyse.work import Task, Work, tasks_of

NEVER = float("-inf")
_USUAL = (
    "var/log/syslog",
    "var/log/messages",
    "var/log/auth.log",
    "var/log/secure",
    "var/log/kern.log",
    "var/log/nginx/access.log",
    "var/log/nginx/error.log",
    "var/log/apache2/access.log",
    "var/log/apache2/error.log",
    "var/log/apache2/other_vhosts_access.log",
    "var/log/httpd/access_log",
    "var/log/httpd/error_log",
)
_SYSTEM = _USUAL[:2]


class Origin(NamedTuple):
    """Something to read: a file, a unit's entries in the journal, all of it (""), or standard input."""

    path: Path | None = None
    unit: str | None = None

    @property
    def name(self) -> str:
        """As it is shown."""
        if self.path is not None:
            return str(self.path)
        if self.unit is None:
            return "-"
        return f"journal: {self.unit}" if self.unit else "journal"


STANDARD_INPUT = Origin()


def usual(root: Path = Path("/")) -> list[Origin]:
    """What there is of the usual logs; and the journal where the system's log is in no file that can be read."""
    found = [root / name for name in _USUAL if (root / name).exists()]
    origins = [Origin(path=path) for path in found]
    if not any(os.access(root / name, os.R_OK) for name in _SYSTEM):
        origins.append(Origin(unit=""))
    return origins


class Analyser:
    """One analysis: what is asked for, and how far it is."""

    def __init__(
        self,
        origins: Sequence[Origin],
        window: Window,
        *,
        zone: tzinfo,
        now: float,
        memory_folder: Path | None,
        processes: int = 0,
    ) -> None:
        """Shapes are remembered in `memory_folder`, where one is given and can be written to.

        `processes`: 0 for as many as there are processors.
        """
        self._window = window
        self._zone = zone
        self._now = now
        self._folder = memory_folder
        self._origins = origins
        self._new_since = window.since if window.since != NEVER else min(now, window.until) - DAY
        self._known = [self._load(origin) for origin in origins]
        self.errors: list[str] = []
        self._files = [0] * len(origins)
        tasks = [task for number, origin in enumerate(origins) for task in self._tasks(number, origin)]
        # Where nothing is remembered, a day more is read to compare with.
        before = min(self._before(each) for each in self._known) if origins else NEVER
        count = processes or len(os.sched_getaffinity(0))
        self.work = Work(tasks, window, before, zone, now, count)

    def run(self, top: int) -> Analysis:
        """Read it all; `top` is how many of each are listed. Raises WorkError."""
        total = Summary()
        new: dict[bytes, int] = {}
        compared = False
        lines = [0] * len(self._origins)
        for number, summary in self._summaries():
            lines[number] = summary.lines
            known = self._known[number]
            found = self._new_shapes(summary, known)
            if found is not None:
                compared = True
                for shape, count in found.items():
                    new[shape] = new.get(shape, 0) + count
            self._remember(number, summary, known)
            total.merge(summary)
        return self._analysis(total, lines, new if compared else None, top)

    def _before(self, known: Known) -> float:
        since = self._window.since
        return since if since == NEVER or known.reaches(since) else since - DAY

    def _load(self, origin: Origin) -> Known:
        return memory.load(self._folder, origin.name) if self._folder is not None else Known()

    def _tasks(self, number: int, origin: Origin) -> list[Task]:
        if origin.path is None:
            return [Task(number, None, origin.unit, 0, None, "", ())]
        tasks = []
        try:
            pieces = reading.pieces(origin.path, self._before(self._known[number]))
        except UnreadableLogError as error:
            self.errors.append(str(error))
            return []
        for piece in pieces:
            try:
                tasks += tasks_of(number, piece, self._zone)
                self._files[number] += 1
            except UnreadableLogError as error:
                self.errors.append(str(error))
        return tasks

    def _summaries(self) -> Iterator[tuple[int, Summary]]:
        """What each of the sources says, in their order."""
        current: tuple[int, Summary] | None = None
        for task, outcome in zip(self.work.tasks, self.work.outcomes(), strict=True):
            if outcome.error is not None and outcome.error not in self.errors:
                self.errors.append(outcome.error)
            if current is not None and current[0] == task.source:
                current[1].merge(outcome.summary)
                continue
            if current is not None:
                yield current
            current = task.source, outcome.summary
        if current is not None:
            yield current

    def _new_shapes(self, summary: Summary, known: Known) -> dict[bytes, int] | None:
        """Shapes that had not come before; None where nothing is known of the time before."""
        messages, since = summary.messages, self._new_since
        if not known.reaches(since) and not 0 < summary.earliest < since:
            return None
        found = {}
        for shape, about in messages.about.items():
            number = digest(shape)
            is_old = about.span.first < since or number in messages.before or known.has(number, since)
            if not is_old and shape in messages.shapes.counts:
                found[shape] = messages.shapes.counts[shape]
        return found

    def _remember(self, number: int, summary: Summary, known: Known) -> None:
        origin, messages = self._origins[number], summary.messages
        if self._folder is None or origin == STANDARD_INPUT or not messages.about:
            return
        for shape, about in messages.about.items():
            if about.span.first:
                known.add(digest(shape), about.span.first, about.span.last)
        for each in messages.before:
            known.add(each, summary.earliest, self._new_since)
        known.began(summary.earliest)
        known.settle(self._now)
        with suppress(OSError):  # Somebody who may not write here is told as much as the logs themselves tell.
            memory.save(self._folder, origin.name, known)

    def _analysis(self, total: Summary, lines: Sequence[int], new: dict[bytes, int] | None, top: int) -> Analysis:
        messages, window = total.messages, self._window
        attempts, logins = result.failed_logins(messages)
        newest = None
        if new is not None:
            ordered = sorted(new.items(), key=lambda item: (_severity(total, item[0]), -item[1], item[0]))
            kept = [item for item in ordered if item[0] in messages.about]
            newest = [result.shape(messages, *item) for item in kept[: result.MOST_NEW]]
        return Analysis(
            since=window.since if window.since != NEVER else None,
            until=window.until if window.until != float("inf") else None,
            first=result.moment(total.span.first),
            last=result.moment(total.span.last),
            sources=[
                result.Source(name=origin.name, files=files, lines=count)
                for origin, files, count in zip(self._origins, self._files, lines, strict=True)
            ],
            errors=self.errors,
            lines=total.lines,
            earlier=total.earlier,
            later=total.later,
            untimed=total.untimed,
            continued=total.continued,
            unread=total.unread,
            cut=total.cut,
            hours=result.hours(total),
            severities=result.severities(messages.severities),
            shapes=result.shapes(messages, top),
            shapes_missed=messages.shapes.missed,
            new_shapes=newest,
            new_since=self._new_since if newest is not None else None,
            failed_logins=attempts,
            logins=logins[:top],
            access=result.requests(total.access, top),
        )


def _severity(summary: Summary, shape: bytes) -> int:
    """How bad a shape is; the mildest of all where it was forgotten."""
    about = summary.messages.about.get(shape)
    return about.severity if about is not None else 8
