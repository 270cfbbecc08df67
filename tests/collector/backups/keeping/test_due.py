"""When home keeps."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.backups.keeping.due import is_due, last_due, next_due

BERLIN = ZoneInfo("Europe/Berlin")
AT = time(3, 30)


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def test_it_is_due_once_a_day_and_after_a_pause_once() -> None:
    """At the time of day, or at the next start."""
    assert not is_due(AT, moment("2026-11-20T03:31"), moment("2026-11-21T03:29"), BERLIN)
    assert is_due(AT, moment("2026-11-20T03:31"), moment("2026-11-21T03:30"), BERLIN)
    assert is_due(AT, moment("2026-11-01T03:31"), moment("2026-11-21T12:00"), BERLIN)
    assert not is_due(AT, moment("2026-11-21T12:00"), moment("2026-11-21T23:59"), BERLIN)


def test_a_clock_that_was_set_back_does_not_stop_it() -> None:
    """What ran in the future says nothing."""
    assert is_due(AT, moment("2036-01-01T00:00"), moment("2026-11-21T12:00"), BERLIN)


def test_the_changes_of_summer_time() -> None:
    """A time that is left out comes right after the gap, one that is shown twice the first time."""
    spring = last_due(time(2, 30), moment("2026-03-29T12:00"), BERLIN)
    assert datetime.fromtimestamp(spring, BERLIN).isoformat() == "2026-03-29T03:30:00+02:00"
    autumn = last_due(time(2, 30), moment("2026-10-25T12:00"), BERLIN)
    assert datetime.fromtimestamp(autumn, BERLIN).isoformat() == "2026-10-25T02:30:00+02:00"


@given(st.integers(1_577_836_800, 2_051_222_400), st.times())
@settings(max_examples=60, deadline=None)
def test_the_last_and_the_next_are_a_day_apart(stamp: int, at: time) -> None:
    """With the hour of summer time."""
    at = at.replace(microsecond=0)
    last, following = last_due(at, stamp, BERLIN), next_due(at, stamp, BERLIN)
    assert last <= stamp < following
    assert timedelta(hours=22) < timedelta(seconds=following - last) < timedelta(hours=26)
