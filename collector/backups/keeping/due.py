"""When home keeps and verifies. Pure."""

from __future__ import annotations

from datetime import datetime, time, timedelta, tzinfo


def last_due(at: time, now: float, zone: tzinfo) -> float:
    """The last moment, not later than `now`, at which a clock in `zone` showed `at`; seconds since the epoch.

    A time that the clock shows twice counts once, the first; one that it leaves out counts by the offset before the
    gap, which is right after it (PEP 495, fold=0).
    """
    today = datetime.fromtimestamp(now, zone).date()
    for back in (0, 1):
        due = datetime.combine(today - timedelta(days=back), at, zone).timestamp()
        if due <= now:
            return due
    raise AssertionError("yesterday's time of day is past")


def is_due(at: time, last: float, now: float, zone: tzinfo) -> bool:
    """Whether the time of day came since the last run began, or the clock was set back behind that."""
    return last < last_due(at, now, zone) or last > now


def next_due(at: time, now: float, zone: tzinfo) -> float:
    """The first moment after `now` at which such a clock shows `at`."""
    today = datetime.fromtimestamp(now, zone).date()
    for ahead in (0, 1):
        due = datetime.combine(today + timedelta(days=ahead), at, zone).timestamp()
        if due > now:
            return due
    raise AssertionError("tomorrow's time of day is to come")
