"""When something will be used up."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.trend import ENOUGH, SPACING, SPAN, Trend, followed, seconds_until_gone, slope
from tests.agent.checks.tree import NOW

HOUR, DAY, MB = 3600.0, 86400.0, 2.0**20


def history(values: list[float], *, spacing: float = SPACING) -> Trend:
    """Values that were measured one `spacing` after another, the last at NOW."""
    trend = Trend()
    for number, value in enumerate(values):
        trend = followed(trend, NOW - (len(values) - 1 - number) * spacing, value)
    return trend


def growing(a_day: float, days: float = 5) -> list[float]:
    return [1e10 + a_day * number * SPACING / DAY for number in range(int(days * DAY / SPACING) + 1)]


def test_even_growth_is_told_exactly() -> None:
    """A gigabyte a day with ten left is ten days."""
    trend = history(growing(1e9))
    assert trend.slope == pytest.approx(1e9 / DAY)
    assert seconds_until_gone(trend, 1e10) == pytest.approx(10 * DAY)


def test_too_little_history_says_nothing() -> None:
    """Less than a day, though it has many points, and no three points."""
    assert history(growing(1e9, 0.9)).slope is None
    assert slope([(0, 1), (ENOUGH, 2)]) is None
    assert seconds_until_gone(history(growing(1e9, 0.9)), 1) is None
    assert history(growing(1e9, 1.1)).slope is not None


def test_what_does_not_grow_is_never_used_up() -> None:
    """Neither what stays nor what shrinks."""
    assert seconds_until_gone(history(growing(0)), 1e9) is None
    assert seconds_until_gone(history(growing(-1e9)), 1e9) is None


def test_what_is_used_up_needs_no_time() -> None:
    """File systems keep blocks for root: there may be less than nothing left for others."""
    assert seconds_until_gone(history(growing(1e9)), -5) == 0


def test_the_history_is_thinned_and_bounded() -> None:
    """One that is measured every 15 seconds for two weeks is as small as any."""
    trend = Trend()
    for number in range(0, int(2 * SPAN), 900):
        trend = followed(trend, NOW + number, number)
    assert len(trend.points) <= SPAN / SPACING + 1
    assert trend.points[0][0] >= NOW + 2 * SPAN - 900 - SPAN
    assert len(msgspec.msgpack.encode(trend)) < 1100


def test_a_clock_that_was_set_back_leaves_no_points_in_the_future() -> None:
    """They would be taken for the newest for as long."""
    trend = history(growing(1e9))
    back = followed(trend, NOW - 2 * DAY, 5.0)
    assert max(when for when, _ in back.points) <= NOW - 2 * DAY
    assert followed(back, NOW - 2 * DAY + SPACING, 6.0).points[-1] == (NOW - 2 * DAY + SPACING, 6.0)


def test_bursts_that_come_again_are_growth() -> None:
    """A backup each night is no odd step."""
    values = [1e10 + 1e9 * (number // 8) for number in range(7 * 8)]
    assert history(values).slope == pytest.approx(1e9 / DAY, rel=0.15)


@given(
    st.floats(10 * MB, 1e12),
    st.integers(1, 38),
    st.floats(-1e13, 1e13),
    st.lists(st.floats(-0.1, 0.1), min_size=41, max_size=41),
)
def test_one_step_changes_little(a_day: float, where: int, step: float, noise: list[float]) -> None:
    """A file that is deleted or copied once, however large, in a history with noise."""
    even = [value + a_day * SPACING / DAY * odd for value, odd in zip(growing(a_day), noise, strict=True)]
    stepped = [value + step * (number >= where) for number, value in enumerate(even)]
    expected = a_day / DAY
    assert history(even).slope == pytest.approx(expected, rel=0.1)
    assert history(stepped).slope == pytest.approx(expected, rel=0.2)


@given(st.floats(1.0, 1e12), st.floats(1.01, 100), st.floats(1, 1e15))
def test_faster_growth_is_sooner_and_more_room_is_later(a_day: float, faster: float, left: float) -> None:
    """The order of things is kept."""
    slow, fast = history(growing(a_day)), history(growing(a_day * faster))
    soon, late = seconds_until_gone(fast, left), seconds_until_gone(slow, left)
    assert soon is not None
    assert late is not None
    assert soon <= late * (1 + 1e-3)
    more = seconds_until_gone(slow, 2 * left)
    assert more is not None
    assert more >= late


@given(st.lists(st.tuples(st.floats(0, 2 * SPAN), st.floats(-1e18, 1e18)), max_size=60))
def test_any_history_is_followed(steps: list[tuple[float, float]]) -> None:
    """Whatever the clock and the values do: points in order, within the span, and no slope that is no number."""
    trend = Trend()
    for offset, value in steps:
        trend = followed(trend, NOW + offset, value)
        times = [when for when, _ in trend.points]
        assert times == sorted(times)
        assert not times or (times[-1] <= NOW + offset and times[0] >= NOW + offset - SPAN)
        assert trend.slope is None or trend.slope == trend.slope
