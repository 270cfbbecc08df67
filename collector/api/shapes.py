"""What the API gives and the pages show: one set of structs for both."""

from __future__ import annotations

from typing import Literal

import msgspec

from wire.report import CheckState, Event, JobResult, LogSummary, MaintenanceWindow

HostState = Literal["ok", "warning", "critical", "unknown", "down", "pending"]
"""A host's worst check; `down` when it has been quiet for three intervals; `pending` before its first report."""

HighlightKey = Literal["cpu", "memory", "disk", "services"]


class Highlight(msgspec.Struct, frozen=True, kw_only=True):
    """One of the few figures that tell a host at a glance: cpu, memory, disk (the fullest mount), services."""

    key: HighlightKey
    state: HostState
    """`unknown` for a host that is down: what was measured is old."""
    value: float | None
    """Percent used; for services the number of failed units. None where the host does not measure it."""
    text: str
    """`43 %`, `/var 91 %`, `2 failed`, or `none` where there is nothing to measure."""
    message: str
    """The check's own message."""


class Updates(msgspec.Struct, frozen=True, kw_only=True):
    """What waits to be updated on a host."""

    pending: int
    security: int
    """Those of them that are for security."""
    since: float | None
    """Since when the oldest of these waits, or of all where none is for security; by the host's clock."""


class HostSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the fleet."""

    id: str
    name: str
    enrolled: float
    """Since when it is known, seconds since the epoch by home's clock."""
    state: HostState
    since: float
    """When it entered this state, seconds since the epoch by home's clock."""
    message: str
    """The worst check's message, or why the host is down."""
    last_received: float | None
    interval: float
    """Seconds between its reports."""
    agent: str
    facts: dict[str, str]
    counts: dict[str, int]
    """State to number of checks: ok, warning, critical, unknown."""
    highlights: list[Highlight]
    groups: list[str] = []
    """Those that administrators put it in."""
    tags: dict[str, str] = {}
    updates: Updates | None = None
    """None where the host has not told them."""
    window: MaintenanceWindow | None = None
    """The maintenance window that is in force."""


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """A check, or with an empty `check` the host itself, went from one state to another."""

    time: float
    check: str
    before: HostState | None
    after: HostState
    message: str


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Samples of one series, thinned to one per step where a step is given: times and values side by side."""

    check: str
    name: str
    unit: str
    labels: dict[str, str]
    times: list[float]
    values: list[float | None]


class HostDetail(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one host now."""

    host: HostSummary
    boot: str
    clock_offset: float
    """Seconds that the host's clock is ahead of home's."""
    checks: list[CheckState]
    stale: list[str]
    """The checks among them that the host has not run for three of their intervals, though it reports."""
    changes: list[StateChange]
    """The newest first, bounded."""
    events: list[Event]
    jobs: list[JobResult]
    """The last run of each job."""
    logs: LogSummary | None
    """What its logs say of the last day that it told; `/hosts/{host}/logs` has the days before."""
    gaps: dict[str, int]
    """What the host measured and could not deliver: readings, events, job_results, reports."""
