"""The arithmetic of what was lost: pure functions of reports and gaps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from wire.report import Gap, Reading, Report

Reason = Literal["size", "age", "refused", "disk_full", "corrupt"]


def of_readings(reason: Reason, report: Report) -> Gap:
    """The gap that the report's readings leave when they are taken out of it."""
    since, until = _span(report.readings, report.time)
    return Gap(reason=reason, since=since, until=until, readings=len(report.readings))


def of_report(reason: Reason, report: Report) -> Gap:
    """The gap that the report leaves when it is dropped, without the gaps that it would have told."""
    since, until = _span(report.readings, report.time)
    return Gap(
        reason=reason,
        since=since,
        until=until,
        readings=len(report.readings),
        events=events_of(report),
        job_results=len(report.jobs),
        reports=1,
    )


def events_of(report: Report) -> int:
    """What counts as an event where things are lost."""
    return len(report.events) + len(report.logs) + len(report.backups) + len(report.drills)


def merge(gaps: Iterable[Gap]) -> list[Gap]:
    """One gap for each reason, with the sums of what they count, over the time of all of them."""
    merged: dict[str, Gap] = {}
    for gap in gaps:
        known = merged.get(gap.reason)
        merged[gap.reason] = gap if known is None else _sum(known, gap)
    return list(merged.values())


def _sum(one: Gap, other: Gap) -> Gap:
    return Gap(
        reason=one.reason,
        since=min(one.since, other.since),
        until=max(one.until, other.until),
        readings=one.readings + other.readings,
        events=one.events + other.events,
        job_results=one.job_results + other.job_results,
        reports=one.reports + other.reports,
    )


def _span(readings: Iterable[Reading], time: float) -> tuple[float, float]:
    """From when to when they were measured; a reading without a time of its own has the report's."""
    times = [reading.time or time for reading in readings] or [time]
    return min(times), max(times)
