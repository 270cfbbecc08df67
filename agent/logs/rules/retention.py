"""Which old logs go, and why (pure). Times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from agent.config.logs import DAY, LogOptions
from kit.units import Duration, format_duration, format_size


class Old(NamedTuple):
    """An old log. `modified` is the time of its last line."""

    path: str
    size: int
    modified: float


class Removal(NamedTuple):
    """One that goes, and why, in words that follow its name."""

    old: Old
    reason: str


def surplus(rule: LogOptions, old: Sequence[Old], now: float, *, coming: int = 0) -> list[Removal]:
    """What `count`, `max_age`, `total_size` and `class` remove of one log's old ones, the oldest first.

    `old` is in order, the newest first. `coming` more are about to be made.
    """
    removals: dict[str, Removal] = {}
    if (days := rule.kept_days) is not None:
        reason = f"it is older than {format_duration(Duration(days * DAY))}{_class_of(rule)}"
        for one in old:
            if now - one.modified > days * DAY:
                removals[one.path] = Removal(one, reason)
    if rule.count is not None:
        for one in old[max(rule.count - coming, 0) :]:
            removals.setdefault(one.path, Removal(one, f"more than {rule.count} would be kept"))
    if rule.total_size is not None:
        room = int(rule.total_size)
        for one in old:
            if one.path not in removals:
                room -= one.size  # from the first that does not fit on, all older ones go
                if room < 0:
                    removals[one.path] = Removal(one, f"the old ones take more than {rule.total_size}")
    return [removals[one.path] for one in reversed(old) if one.path in removals]


def to_free(rule: LogOptions, old: Collection[Old], free: int) -> list[Removal]:
    """What `keep_free` removes of all the old ones in a file system of which `free` bytes are free, oldest first."""
    if rule.keep_free is None:
        return []
    reason = f"less than {rule.keep_free} are free ({format_size(free)})"
    return _oldest(old, int(rule.keep_free) - free, reason)


def over_budget(rule: LogOptions, old: Collection[Old], used: int) -> list[Removal]:
    """What `budget` removes of all old ones where files and journal take `used` bytes, oldest first."""
    if rule.budget is None:
        return []
    reason = f"its application takes more than its budget of {rule.budget} ({format_size(used)})"
    return _oldest(old, used - int(rule.budget), reason)


def _oldest(old: Collection[Old], needed: int, reason: str) -> list[Removal]:
    removals = []
    for one in sorted(old, key=lambda one: (one.modified, one.path)):
        if needed <= 0:
            break
        removals.append(Removal(one, reason))
        needed -= one.size
    return removals


def _class_of(rule: LogOptions) -> str:
    if rule.max_age is not None:
        return ""
    return f", as for the class {rule.retention or 'application'}"
