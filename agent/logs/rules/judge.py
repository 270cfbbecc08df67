"""Whether a log of a rule is due, and why (pure). Times are seconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from agent.config.logs import LogOptions
from agent.timetable import Schedule, in_words, last_due, next_due
from kit.units import format_duration, format_size

WORTHWHILE = 2**20
"""Bytes: rotating a smaller log frees no disk."""
LOW_DISK_PAUSE = 3600
"""Seconds between two rotations because of a full disk, which compressing may not empty."""
FUTURE = 25 * 3600
"""Seconds: a last rotation that is further ahead than that was dated by a clock that was wrong."""


class Log(NamedTuple):
    """What is known of a log and its host."""

    size: int
    free: int | None = None
    """Bytes that are free in its file system; None where nobody asked."""
    booted: float = 0.0
    """When the host was started."""


class Verdict(NamedTuple):
    """Whether it is due, and why, or why not: one sentence without its full stop."""

    due: bool
    reason: str


def judge(rule: LogOptions, log: Log, last: float, now: float, *, host: str, force: bool = False) -> Verdict:
    """`last` is when it was rotated, or else first seen."""
    if log.size < (min(rule.min_size, 1) if force else rule.min_size):
        small = "it is empty" if not log.size else f"it is smaller than {rule.min_size} ({format_size(log.size)})"
        return Verdict(False, small)
    if force:
        return Verdict(True, "it was asked for")
    if rule.size is not None and log.size >= rule.size:
        return Verdict(True, f"it has reached {rule.size} ({format_size(log.size)})")
    if last > now + FUTURE:
        return Verdict(True, f"it was last rotated in the future, at {moment(last)}: the clock was wrong")
    timetable = rule.timetable
    if timetable is not None and (due := _turn(timetable, rule.name, last, log.booted, now, host)) <= now:
        return Verdict(True, f"its time came: {in_words(timetable)} ({moment(due)})")
    if rule.age is not None and now - last >= rule.age:
        return Verdict(True, f"it was last rotated {format_duration(now - last)} ago ({rule.age})")
    if rule.low_disk is not None and log.free is not None and log.free < rule.low_disk:
        return _low_disk(rule, log, last, now)
    return Verdict(False, _not_yet(rule, log, last, now, host))


def next_turn(rule: LogOptions, last: float, now: float, *, host: str, booted: float = 0.0) -> float | None:
    """When the clock makes it due, whatever it is larger than; it may be over. None: only its size, or the disk."""
    turns = []
    if (timetable := rule.timetable) is not None:
        turns.append(_turn(timetable, rule.name, last, booted, now, host))
    if rule.age is not None:
        turns.append(last + rule.age)
    return min(turns) if turns else None


def moment(seconds: float) -> str:
    """By the host's clock: `2026-11-22 14:30`."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def _turn(timetable: Schedule, name: str, last: float, booted: float, now: float, host: str) -> float:
    """The first due time after the last rotation; of several that were missed, the last one is made up for."""
    due = next_due(timetable, _utc(last), host=host, job=name).timestamp()
    if due > now:
        return due
    latest = last_due(timetable, _utc(now), host=host, job=name).timestamp()
    if timetable.catch_up or latest >= booted:
        return latest
    return next_due(timetable, _utc(now), host=host, job=name).timestamp()


def _low_disk(rule: LogOptions, log: Log, last: float, now: float) -> Verdict:
    free = f"{format_size(log.free or 0)} are free, less than {rule.low_disk}"
    if log.size < WORTHWHILE:
        return Verdict(False, f"{free}, but it is too small to help ({format_size(log.size)})")
    if now - last < LOW_DISK_PAUSE:
        return Verdict(False, f"{free}, but it was rotated less than {format_duration(LOW_DISK_PAUSE)} ago")
    return Verdict(True, free)


def _not_yet(rule: LogOptions, log: Log, last: float, now: float, host: str) -> str:
    reasons = []
    turn = next_turn(rule, last, now, host=host, booted=log.booted)
    if turn is not None:
        reasons.append(f"its next time is {moment(turn)}")
    if rule.size is not None:
        reasons.append(f"it has not reached {rule.size} ({format_size(log.size)})")
    return " and ".join(reasons)


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
