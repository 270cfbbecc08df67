"""A host's state: that of its worst check, or `down` when it has been quiet for too long."""

from __future__ import annotations

from collections.abc import Iterable

from collector.api.shapes import HostState
from kit.units import format_duration
from wire.report import SEVERITY as SEVERITY_OF_CHECKS
from wire.report import CheckState

_ORDER: tuple[HostState, ...] = ("ok", "pending", *SEVERITY_OF_CHECKS[1:], "down")
SEVERITY: dict[HostState, int] = {state: rank for rank, state in enumerate(_ORDER)}
"""Which state is worse, by rank: a check's states as both sides rank them, and those that only a host has."""

QUIET_INTERVALS = 3
"""A host that has not been heard for this many of its intervals is down."""


SHORTEST = 1.0
"""Seconds between two reports, as agents have it: a host that says less would be down between any two of them."""


STALE_INTERVALS = 3
"""A check that was not run for this many of its intervals, and STALE_GRACE seconds, is stale."""
STALE_GRACE = 60.0
"""Seconds that a run itself, and the way home, may take."""


def worst(checks: Iterable[CheckState]) -> CheckState | None:
    """The check that decides: of the worst state, and of those the one that has been in it for the longest."""
    return max(checks, key=lambda check: (SEVERITY[check.state], -check.since), default=None)


def host_state(checks: Iterable[CheckState]) -> tuple[HostState, str]:
    """The state of a host that reports, and the sentence that says why."""
    decisive = worst(checks)
    if decisive is None:
        return "unknown", "The host runs no checks."
    if decisive.state == "ok":
        return "ok", "All checks are ok."
    return decisive.state, f"{decisive.name}: {decisive.message}"


def is_quiet(heard: float, interval: float, now: float) -> bool:
    """Whether a host last `heard` then is down `now`: both by one clock of home's that nobody can set."""
    return now - heard > QUIET_INTERVALS * interval


def is_stale(check: CheckState, reported: float) -> bool:
    """Whether a check has missed its runs, though its host reports: how it stands is how it stood then.

    `reported` is when the host's last report was made, by the host's clock as all times of the check are.
    """
    return check.interval > 0 and reported - check.time > STALE_INTERVALS * check.interval + STALE_GRACE


def down_message(interval: float) -> str:
    """Why a host is down, in a sentence that stays true while it is."""
    return f"No report for more than {QUIET_INTERVALS} intervals of {format_duration(interval)}."
