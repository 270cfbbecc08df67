"""What a report changes: a host's record before and after it, and what is worth remembering of the difference."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from collector.api.shapes import HostState, StateChange
from collector.rules.highlights import Vitals, take_vitals
from collector.rules.state import SHORTEST, host_state
from wire import limits
from wire.report import CheckState, Report

STEADY = 5.0
"""Seconds by which the time between two reports and between their receipts may differ while none is held up."""


class HostRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A host as it stands. Times are home's, but for `reported`."""

    id: str
    name: str
    enrolled: float
    agent: str
    facts: dict[str, str]
    state: HostState = "pending"
    since: float = 0.0
    message: str = ""
    epoch: str = ""
    """Of its newest stream of reports, '' before the first."""
    boot: str = ""
    received: float | None = None
    reported: float | None = None
    """When its last report was made, by its own clock."""
    interval: float = 0.0
    clock_offset: float = 0.0
    checks: list[CheckState] = []
    vitals: Vitals = Vitals()
    lost: dict[str, int] = {}
    """What it could not deliver: readings, events, job_results, reports."""


def take(
    before: HostRecord, report: Report, *, received: float, created: float
) -> tuple[HostRecord, list[StateChange]]:
    """The record after `report`, which is new and of the stream that is the host's newest.

    `received` is home's clock, `created` the time in the request's signature.
    """
    offset = clock_offset(before, report, received=received, created=created)
    state, message = host_state(report.checks)
    changes = _check_changes(before.checks, report.checks, offset=offset, received=received)
    since = before.since
    if state != before.state:
        since = received
        changes.append(StateChange(time=received, check="", before=before.state, after=state, message=message))
    after = replace(
        before,
        agent=report.agent,
        facts=before.facts if report.facts is None else report.facts,
        state=state,
        since=since,
        message=message,
        epoch=report.epoch,
        boot=report.boot,
        received=received,
        reported=report.time,
        interval=max(report.interval, SHORTEST),
        clock_offset=offset,
        checks=report.checks,
        vitals=take_vitals(before.vitals, report.readings, report.checks, report.time),
    )
    return after, changes


def hear(before: HostRecord, *, received: float) -> tuple[HostRecord, list[StateChange]]:
    """The record after a report of an older stream: the host lives, and a newer stream tells how it stands."""
    if before.state != "down":
        return replace(before, received=received), []
    state, message = host_state(before.checks)
    change = StateChange(time=received, check="", before="down", after=state, message=message)
    return replace(before, received=received, state=state, since=received, message=message), [change]


def count_lost(lost: dict[str, int], report: Report) -> dict[str, int]:
    """The sums of what was lost, with the report's gaps added, up to what can be stored and shown."""
    return {
        kind: min(lost.get(kind, 0) + sum(getattr(gap, kind) for gap in report.gaps), limits.MAX_COUNT)
        for kind in ("readings", "events", "job_results", "reports")
    }


def clock_offset(before: HostRecord, report: Report, *, received: float, created: float) -> float:
    """Seconds that the host's clock is ahead of home's, as far as this report can tell.

    A report that waited in the spool looks like a clock that is behind. So its time counts only where as much
    time has passed between it and the one before as between their receipts: then neither was held up. The very
    first report says it by its signature, which is made when it is sent.
    """
    if before.received is None or before.reported is None:
        return created - received
    passed, passed_here = report.time - before.reported, received - before.received
    if abs(passed - passed_here) > STEADY:
        return before.clock_offset
    return report.time - received


def _check_changes(
    before: list[CheckState], after: list[CheckState], *, offset: float, received: float
) -> list[StateChange]:
    """A check seen for the first time is worth a line only when it is not ok."""
    known = {check.name: check.state for check in before}
    return [
        StateChange(
            time=min(check.since - offset, received),
            check=check.name,
            before=known.get(check.name),
            after=check.state,
            message=check.message,
        )
        for check in after
        if check.state != known.get(check.name, "ok")
    ]
