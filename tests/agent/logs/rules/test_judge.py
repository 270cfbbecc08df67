"""When a log of a rule is due, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.logs import LogOptions
from agent.logs.rules.judge import FUTURE, LOW_DISK_PAUSE, Log, judge, next_turn
from agent.timetable import last_due
from kit.units import Duration, Size
from tests.zones import zone

NOON = datetime.fromisoformat("2026-11-18T12:00:00+00:00").timestamp()
"""A Wednesday."""
HOUR, DAY = 3600.0, 86400.0
MiB = 2**20


def rule(**options: Any) -> LogOptions:
    return LogOptions(name="web", paths=("/var/log/web.log",), timezone="UTC", **options)


@pytest.fixture(autouse=True)
def _in_utc() -> Iterator[None]:
    """Reasons tell times by the host's clock."""
    with zone("UTC"):
        yield


@pytest.mark.parametrize(
    ("options", "log", "last", "due", "reason"),
    [
        ({}, Log(5), NOON - DAY, True, "its time came: daily 00:00 UTC (2026-11-18 00:00)"),
        ({}, Log(5), NOON - HOUR, False, "its next time is 2026-11-19 00:00"),
        ({}, Log(0), NOON - DAY, False, "it is empty"),
        ({"min_size": Size(0)}, Log(0), NOON - DAY, True, "its time came: daily 00:00 UTC (2026-11-18 00:00)"),
        ({"min_size": Size(MiB)}, Log(1024), NOON - DAY, False, "it is smaller than 1MiB (1KiB)"),
        ({"size": Size(MiB)}, Log(2 * MiB), NOON, True, "it has reached 1MiB (2MiB)"),
        ({"size": Size(MiB)}, Log(1024), NOON - 99 * DAY, False, "it has not reached 1MiB (1KiB)"),
        (
            {"size": Size(MiB), "weekly": "sunday 02:00"},
            Log(1024),
            NOON - DAY,
            False,
            "its next time is 2026-11-22 02:00 and it has not reached 1MiB (1KiB)",
        ),
        ({"age": Duration(2 * HOUR)}, Log(5), NOON - 2 * HOUR, True, "it was last rotated 2h ago (2h)"),
        ({"age": Duration(2 * HOUR)}, Log(5), NOON - HOUR, False, "its next time is 2026-11-18 13:00"),
        (
            {"low_disk": Size(2**30)},
            Log(2 * MiB, free=2**29),
            NOON - 2 * HOUR,
            True,
            "512MiB are free, less than 1GiB",
        ),
        (
            {"low_disk": Size(2**30)},
            Log(2 * MiB, free=2**29),
            NOON - LOW_DISK_PAUSE / 2,
            False,
            "512MiB are free, less than 1GiB, but it was rotated less than 1h ago",
        ),
        (
            {"low_disk": Size(2**30)},
            Log(1024, free=2**29),
            NOON - 2 * HOUR,
            False,
            "512MiB are free, less than 1GiB, but it is too small to help (1KiB)",
        ),
        (
            {"low_disk": Size(2**30)},
            Log(2 * MiB, free=2**31),
            NOON - HOUR,
            False,
            "its next time is 2026-11-19 00:00",
        ),
        (
            {"size": Size(MiB)},
            Log(5),
            NOON + 2 * DAY,
            True,
            "it was last rotated in the future, at 2026-11-20 12:00: the clock was wrong",
        ),
    ],
)
def test_verdicts(options: dict[str, object], log: Log, last: float, due: bool, reason: str) -> None:
    """Each way in which a log is due or not, in its words."""
    assert judge(rule(**options), log, last, NOON, host="h") == (due, reason)


def test_by_force() -> None:
    """What is asked for is due, but for what is empty."""
    small = rule(min_size=Size(MiB))
    assert judge(small, Log(5), NOON, NOON, host="h", force=True) == (True, "it was asked for")
    assert judge(small, Log(0), NOON, NOON, host="h", force=True) == (False, "it is empty")
    assert judge(rule(min_size=Size(0)), Log(0), NOON, NOON, host="h", force=True).due


def test_without_catching_up() -> None:
    """What was due while the host was off is left out; what was due since it is on is not."""
    late = rule(catch_up=False)
    midnight = NOON - 12 * HOUR
    assert not judge(late, Log(5, booted=midnight + 1), midnight - DAY, NOON, host="h").due
    assert judge(late, Log(5, booted=midnight - 1), midnight - DAY, NOON, host="h").due
    assert next_turn(late, midnight - DAY, NOON, host="h", booted=midnight + 1) == midnight + DAY


TIMETABLES = st.sampled_from(
    [
        {"daily": "00:00"},
        {"daily": "13:37"},
        {"weekly": "sunday 00:00"},
        {"monthly": "last 02:00"},
        {"quarterly": "first monday 03:00"},
        {"every": Duration(1800)},
        {"daily": "02:30", "jitter": Duration(5 * HOUR)},
    ]
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
SPANS = st.lists(st.floats(1, 40 * DAY), min_size=1, max_size=40)


@given(TIMETABLES, ZONES, SPANS, st.integers(1, 10))
def test_once_in_a_period(timetable: dict[str, Any], zone: str, spans: list[float], size: int) -> None:
    """Looked at whenever you like, a log is rotated at most once between two due times, and after each of them that
    somebody looked behind; after downtime once, however many were missed."""
    options = LogOptions(name="web", paths=("/l",), **{"timezone": zone, **timetable})
    schedule = options.timetable
    assert schedule is not None
    now = last = NOON
    for span in spans:
        now += span
        due = last_due(schedule, datetime.fromtimestamp(now).astimezone(), host="h", job="web").timestamp()
        verdict = judge(options, Log(size), last, now, host="h")
        assert verdict.due == (due > last)
        turn = next_turn(options, last, now, host="h")
        assert turn is not None
        assert (turn <= now) == verdict.due
        if verdict.due:
            last = now
            assert not judge(options, Log(size), last, now, host="h").due


@given(st.floats(HOUR, 9 * DAY), SPANS)
def test_by_age(age: float, spans: list[float]) -> None:
    """Between two rotations by age there is at least that age."""
    options = rule(age=Duration(age))
    now = last = NOON
    for span in spans:
        now += span
        if judge(options, Log(9), last, now, host="h").due:
            assert now - last >= age
            last = now


@given(SPANS, st.integers(0, 2**40), st.integers(0, 2**40))
def test_a_full_disk_rotates_once_an_hour(spans: list[float], size: int, free: int) -> None:
    """However full it stays."""
    options = rule(low_disk=Size(2**30), size=Size(2**62))
    now = last = NOON
    for span in spans:
        now += span / 100
        verdict = judge(options, Log(size, free), last, now, host="h")
        assert verdict.due == (size >= MiB and free < 2**30 and now - last >= LOW_DISK_PAUSE)
        if verdict.due:
            last = now


@given(st.floats(-2 * FUTURE, 2 * FUTURE))
def test_a_clock_that_was_wrong(ahead: float) -> None:
    """A last rotation in the future keeps a log from being rotated for a day, and no longer."""
    verdict = judge(rule(size=Size(MiB)), Log(5), NOON + ahead, NOON, host="h")
    assert verdict.due == (ahead > FUTURE)
