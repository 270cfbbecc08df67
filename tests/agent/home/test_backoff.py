"""Waits grow, are spread, and have their bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.home import backoff


def longest(low: float, high: float) -> float:
    """The worst luck."""
    assert low <= high
    return high


def shortest(low: float, high: float) -> float:
    """The best luck."""
    return low


def test_waits_double_up_to_five_minutes() -> None:
    waits = [backoff.delay(failures, uniform=longest) for failures in range(1, 12)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_jitter_is_full() -> None:
    """A fleet that lost its home together does not come back together."""
    assert backoff.delay(9, uniform=shortest) == 0


@given(st.integers())
def test_any_number_of_failures_has_a_wait(failures: int) -> None:
    assert 0 <= backoff.delay(failures, uniform=longest) <= backoff.LONGEST


def test_where_a_person_must_act_the_wait_is_about_an_hour() -> None:
    assert backoff.slow_delay(uniform=longest) == 3600
    assert backoff.slow_delay(uniform=shortest) == 1800


@given(st.floats(allow_nan=False), st.integers(1, 100))
def test_what_home_asks_for_is_kept_up_to_an_hour(seconds: float, failures: int) -> None:
    wait = backoff.asked_delay(seconds, failures, uniform=shortest)
    assert wait == min(3600, max(0, seconds))
    assert wait <= backoff.asked_delay(seconds, failures, uniform=longest) <= 3600 + backoff.LONGEST
