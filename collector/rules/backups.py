"""What a run of a backup job or a drill changes of what home knows: how the job stands, its sizes, its trend.

Times within a standing are by the host's clock, but for `first`.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec

from wire.report import BackupRun, Drill

DAY = 86_400.0
KEPT_DAYS = 92
"""Days of sizes that are kept of a job."""
KEPT_DRILLS = 50
"""Results that are kept of a drill's trend."""
WINDOW = 30
"""Days over which growth is told."""
FADING = 0.8
"""What is left, one run later, of the time that the longest run took."""
USUAL = 5
"""Drills whose median is what a recovery usually takes."""


class SizePoint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A job on one day: its last snapshot, and what all of the day's runs added."""

    day: int
    """Days since the epoch, UTC."""
    bytes: int
    added: int
    """Bytes that the repository grew by."""


class DrillPoint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One drill of a trend."""

    time: float
    """When it ended."""
    held: bool
    recovery_point: float | None
    recovery_time: float | None
    estimated: bool


class JobStanding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a job of a host stands."""

    last: BackupRun
    first: float
    """When home first heard of it, by home's clock."""
    point: float | None = None
    """When the last run began that saved all it should: what comes back is as of then."""
    last_success: float | None = None
    """When such a run last ended."""
    last_verified: float | None = None
    """When the last run began of those that were verified."""
    files: int = 0
    """In the last snapshot."""
    bytes: int = 0
    failures: int = 0
    """Runs in a row, up to the last one, that did not save all they should."""
    took: float = 0.0
    """Seconds that a run may well take: the longest of late."""
    growth: float | None = None
    """Bytes a day by which what is backed up grew, over WINDOW days; None where one day alone is known."""
    added: float | None = None
    """Bytes a day by which the repository grew."""


class DrillStanding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a drill of a host stands."""

    last: Drill
    first: float
    """When home first heard of it, by home's clock."""
    held: float | None = None
    """When the last one ended that found everything as it should be."""
    recovery_time: float | None = None
    """Seconds until all of it is back, by the last one that measured it."""
    estimated: bool = False
    failures: int = 0
    took: float = 0.0
    trend: float | None = None
    """By which part the last recovery took longer than usual: 0.1 is 10 % more. None where nothing is usual yet."""


def take_run(
    before: JobStanding | None, points: Sequence[SizePoint], run: BackupRun, *, received: float, newest: bool
) -> tuple[JobStanding, list[SizePoint]]:
    """How the job stands after a run, and its sizes. `received` is home's clock.

    `newest` says that the report is of the host's newest stream. A run out of an older one, which was kept somewhere
    until now, does not replace what ended after it.
    """
    if before is not None and not newest and run.finished < before.last.finished:
        return before, list(points)
    known = JobStanding(last=run, first=received, point=run.last_success) if before is None else before
    done = run.outcome == "done"
    took = max(0.0, run.finished - run.started)
    saved = run.outcome != "failed"
    if saved:
        points = _add_size(points, run)
    growth, added = growth_per_day(points)
    return JobStanding(
        last=run,
        first=known.first,
        point=run.started if done else known.point,
        last_success=_first_known(run.last_success, run.finished if done else None, known.last_success),
        last_verified=_first_known(run.last_verified, run.started if run.verified else None, known.last_verified),
        files=run.files if saved else known.files,
        bytes=run.bytes if saved else known.bytes,
        failures=0 if done else known.failures + 1,
        took=max(took, FADING * known.took),
        growth=growth,
        added=added,
    ), list(points)


def growth_per_day(points: Sequence[SizePoint]) -> tuple[float | None, float | None]:
    """Bytes a day by which the data and its repository grew over the last WINDOW days."""
    recent = [point for point in points if point.day > points[-1].day - WINDOW]
    if len(recent) < 2:
        return None, None
    days = recent[-1].day - recent[0].day
    return (recent[-1].bytes - recent[0].bytes) / days, sum(point.added for point in recent[1:]) / days


def take_drill(
    before: DrillStanding | None, points: Sequence[DrillPoint], drill: Drill, *, received: float, newest: bool
) -> tuple[DrillStanding, list[DrillPoint]]:
    """How the drill stands after one more, and its trend; as `take_run`."""
    if before is not None and not newest and drill.finished < before.last.finished:
        return before, list(points)
    known = DrillStanding(last=drill, first=received) if before is None else before
    held = drill.outcome == "done"
    took = max(0.0, drill.finished - drill.started)
    measured = drill.recovery_time is not None
    point = DrillPoint(drill.finished, held, drill.recovery_point, drill.recovery_time, drill.estimated)
    kept = [*points, point][-KEPT_DRILLS:]
    return DrillStanding(
        last=drill,
        first=known.first,
        held=drill.finished if held else known.held,
        recovery_time=drill.recovery_time if measured else known.recovery_time,
        estimated=drill.estimated if measured else known.estimated,
        failures=0 if held else known.failures + 1,
        took=max(took, FADING * known.took),
        trend=trend(kept),
    ), kept


def trend(points: Sequence[DrillPoint]) -> float | None:
    """By which part the last recovery took longer than the median of those before it."""
    *earlier, last = points
    usual = [point.recovery_time for point in earlier if point.held and point.recovery_time is not None][-USUAL:]
    if not last.held or last.recovery_time is None or not usual or median(usual) <= 0:
        return None
    return last.recovery_time / median(usual) - 1


def _add_size(points: Sequence[SizePoint], run: BackupRun) -> list[SizePoint]:
    """What lies ahead of the run was told by a clock that has been set since."""
    day = int(run.finished // DAY)
    kept = [point for point in points if day - KEPT_DAYS < point.day <= day]
    added = run.bytes_added
    if kept and kept[-1].day == day:
        added += kept.pop().added
    return [*kept, SizePoint(day, run.bytes, added)]


def _first_known(*times: float | None) -> float | None:
    return next((time for time in times if time is not None), None)
