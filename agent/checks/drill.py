"""Drills: whether backups came back when it was tried, how old and how fast, and whether it was tried at all.

It reads the records of drills and the plan of them in the agent's state; it restores nothing itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import msgspec

from agent.backups.plan import Planned, decode, key_of
from agent.backups.records import Book
from agent.checks.contract import (
    Check,
    CheckError,
    CheckOptions,
    Context,
    Every,
    Finding,
    Measurement,
    Rule,
    Sample,
    Threshold,
)
from agent.paths import System
from agent.timetable import next_due
from kit.units import Duration, format_duration
from wire.report import Drill

REMEMBERED = 10
"""Drills that are looked at of each name: the last one counts."""


class DrillCheckOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The drills: restores that are tried. `overrides` tell them apart by the label `drill`."""

    every: Every = Duration(60)
    overdue: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the seconds since a drill was due that has not begun."),
    ] = Threshold(critical=3600)
    recovery_point: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the recovery point, in percent of a drill's `rpo`."),
    ] = Threshold(warning=100, critical=200)
    recovery_time: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the recovery time, in percent of a drill's `rto`."),
    ] = Threshold(warning=100, critical=200)


class Standing(NamedTuple):
    """What is known of one drill."""

    planned: Planned
    runs: Sequence[Drill]
    """Those that ended, the last one last."""
    begun: float
    """When the one that goes on began; 0.0 where none does."""


class DrillCheck(Check[DrillCheckOptions]):
    """Restores that are tried."""

    Options = DrillCheckOptions
    needs = "drills"

    @classmethod
    def default(cls, system: System) -> CheckOptions | None:
        """Where there are drills (`needs`)."""
        return DrillCheckOptions()

    def rules(self) -> list[Rule]:
        """What was not done, what is too old, what takes too long."""
        options = self.options
        return [
            Rule("backup_drill_overdue_seconds", options.overdue, "{drill} was due {value} ago and has not begun"),
            Rule(
                "backup_recovery_point_target_percent",
                options.recovery_point,
                "{drill}: the age of what came back is {value} of rpo",
            ),
            Rule(
                "backup_recovery_time_target_percent",
                options.recovery_time,
                "{drill}: the time until all is back is {value} of rto",
            ),
        ]

    def collect(self, context: Context) -> Sample:
        """Read plan and records."""
        state = context.system.state
        book = Book(state, "drills", Drill)
        try:
            drills = [_standing(book, planned) for planned in decode(book.plan()).values() if planned.schedule]
        except OSError as error:
            raise CheckError(f"{state}: {error.strerror}; run as the agent's user or as root") from error
        return derive(drills, now=context.now, host=os.uname().nodename)


def _standing(book: Book[Drill], planned: Planned) -> Standing:
    runs = [one.record.run for one in book.runs(planned.name, last=REMEMBERED)]
    return Standing(planned, runs, max((begun.started for begun in book.going_on(planned.name)), default=0.0))


def derive(drills: Sequence[Standing], *, now: float, host: str) -> Sample:
    """What they come to. Raises CheckError for a plan that cannot be read."""
    measurements: list[Measurement] = []
    findings: list[Finding] = []
    for drill in sorted(drills, key=lambda drill: drill.planned.name):
        measurements += _measure(drill, now, host)
        findings += _judge(drill, now)
    last = max((drill.runs[-1].finished for drill in drills if drill.runs), default=None)
    count = f"{len(drills)} drill{'s' * (len(drills) != 1)}"
    ago = "none done yet" if last is None else f"the last one {format_duration(max(1.0, now - last))} ago"
    return Sample(measurements, findings, f"{count}, {ago}" if drills else "no drill is configured")


def _measure(drill: Standing, now: float, host: str) -> Iterator[Measurement]:
    name = drill.planned.name
    last = drill.runs[-1] if drill.runs else None
    labels = {"drill": name} if last is None else {"drill": name, "job": last.job}
    yield Measurement("backup_drill_overdue_seconds", overdue(drill, now=now, host=host), "seconds", {"drill": name})
    if last is None:
        return
    yield Measurement("backup_drill_age_seconds", max(0.0, now - last.started), "seconds", labels)
    yield Measurement("backup_drill_duration_seconds", max(0.0, last.finished - last.started), "seconds", labels)
    yield Measurement("backup_drill_differing_files", last.differing, labels=labels)
    yield from _of_target("point", last.recovery_point, last.rpo, labels)
    yield from _of_target("time", last.recovery_time, last.rto, labels)


def _of_target(
    what: str, seconds: float | None, target: float | None, labels: Mapping[str, str]
) -> Iterator[Measurement]:
    if seconds is None:
        return
    yield Measurement(f"backup_recovery_{what}_seconds", seconds, "seconds", dict(labels))
    if target:
        yield Measurement(
            f"backup_recovery_{what}_target_percent", 100 * seconds / target, "percent", {"drill": labels["drill"]}
        )


def _judge(drill: Standing, now: float) -> Iterator[Finding]:
    if drill.runs and drill.runs[-1].outcome == "failed":
        last = drill.runs[-1]
        ago = format_duration(max(1.0, now - last.finished))
        yield Finding("critical", f"{drill.planned.name} failed {ago} ago: {last.message}")


def overdue(drill: Standing, *, now: float, host: str) -> float:
    """Seconds since it was due for the first time without having begun since; 0 where it was not due."""
    begins = [drill.begun, *(run.started for run in drill.runs)]
    # What lies ahead was told by a clock that was wrong.
    began = max([drill.planned.since, *(begin for begin in begins if begin <= now)])
    key = key_of("drill", drill.planned.name)
    try:
        due = next_due(drill.planned.timetable(), datetime.fromtimestamp(began, UTC), host=host, job=key)
    except ValueError as error:
        raise CheckError(f"the timetable of {drill.planned.name} cannot be read: {error}") from None
    return max(0.0, now - due.timestamp())
