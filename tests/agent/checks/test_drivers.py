"""What the checks of databases and queues share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.contract import Check, CheckError, Finding, remembered
from agent.checks.drivers import DAY, SETTLED, SPAN, STEP, Trend, largest, read_password, told
from agent.checks.mysql import Mysql, MysqlOptions
from agent.checks.postgresql import Postgresql, PostgresqlOptions
from agent.checks.redis import Redis, RedisOptions
from tests.agent.checks.tree import collect

NUMBERS = st.floats(-1e15, 1e15)


@pytest.mark.parametrize(
    ("driver", "extra", "make"),
    [
        ("psycopg", "postgresql", lambda: Postgresql(PostgresqlOptions())),
        ("pymysql", "mysql", lambda: Mysql(MysqlOptions())),
        ("redis", "redis", lambda: Redis(RedisOptions())),
    ],
)
def test_a_missing_driver_says_what_to_install(
    driver: str, extra: str, make: Callable[[], Check[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one sentence, and nothing else of the check is tried."""
    monkeypatch.setitem(sys.modules, driver, None)
    monkeypatch.delitem(sys.modules, f"agent.checks.{extra}_session", raising=False)
    with pytest.raises(CheckError, match=f"the driver is not installed: run `make install EXTRAS={extra}`"):
        collect(make())


def test_a_password_that_cannot_be_read_says_why() -> None:
    """As the check's own words; none is configured by nothing."""
    assert read_password("") == ""
    with pytest.raises(CheckError, match="/nowhere/password: No such file or directory"):
        read_password("/nowhere/password")


@given(st.text(min_size=1, alphabet="abcxyz"), st.text(), st.text())
def test_a_secret_is_never_told(secret: str, before: str, after: str) -> None:
    """Wherever a driver puts it; what is told is one line."""
    text = told(Exception(f"{before} {secret} {after}"), secret, "")
    assert secret not in text.replace("***", "")
    assert len(text.splitlines()) <= 1


def test_an_error_without_words_is_named() -> None:
    """By its type."""
    assert told(TimeoutError()) == "TimeoutError"


@given(st.lists(st.integers(), max_size=30), st.integers(1, 10))
def test_only_the_largest_are_shown(items: list[int], limit: int) -> None:
    """With a remark on how many more there are, and none where there are no more."""
    shown, remarks = largest(items, float, limit, "things")
    assert shown == sorted(items, reverse=True)[:limit]
    more = len(items) - limit
    text = f"{more} things more than the {limit} largest are not shown"
    assert remarks == ([Finding("ok", text)] if more > 0 else [])


def test_a_trend_needs_an_hour() -> None:
    """Then it is the growth since the oldest point, for a day."""
    trend = Trend().add(0, 100)
    assert trend.per_day(SETTLED - 1, 200) is None
    assert trend.per_day(SETTLED, 200) == pytest.approx(100 * 24)
    assert trend.per_day(DAY / 2, 50) == pytest.approx(-100)
    assert Trend().per_day(0, 1) is None


@given(st.lists(st.tuples(st.floats(0, 3 * SPAN), NUMBERS), max_size=60))
def test_a_trend_stays_short_and_in_order(samples: list[tuple[float, float]]) -> None:
    """Whatever is added, at whatever times, by a clock that somebody sets."""
    trend = Trend()
    for now, value in samples:
        trend = trend.add(now, value)
        times = [time for time, _ in trend.points]
        assert times == sorted(times)
        assert all(0 <= now - time <= SPAN for time in times)
        assert all(later - earlier >= STEP for earlier, later in pairwise(times))
        assert len(times) <= SPAN / STEP + 1


def test_a_clock_that_is_set_back_starts_a_trend_anew() -> None:
    """What came later by the wrong clock says nothing."""
    assert Trend(((DAY, 1.0),)).add(5.0, 2.0) == Trend(((5.0, 2.0),))


@given(st.none() | st.integers() | st.text() | st.dictionaries(st.text(), st.integers()) | st.lists(st.integers()))
def test_what_cannot_be_remembered_is_forgotten(previous: Any) -> None:
    """Whatever an older version left."""
    assert isinstance(remembered(previous, Trend), Trend)


def test_what_was_stored_is_remembered() -> None:
    """As it comes back from where it was."""
    trend = Trend(((1.0, 2.0), (3.0, 4.0)))
    assert remembered(msgspec.msgpack.decode(msgspec.msgpack.encode(trend)), Trend) == trend
