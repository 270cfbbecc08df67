"""Rates from counters."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.counters import rates


@pytest.mark.parametrize(
    ("before", "after", "elapsed", "expected"),
    [
        ([100, 5], [150, 5], 10, [5, 0]),
        (None, [1], 10, None),
        ([1], [2], None, None),
        ([1], [2], 0, None),
        ([1], [2], -5, None),
        ([100, 5], [99, 6], 10, None),
        ([1], [1, 2], 10, None),
    ],
)
def test_growth_a_second_or_nothing(
    before: list[float] | None, after: list[float], elapsed: float | None, expected: list[float] | None
) -> None:
    """A counter that went back, a first sample and a clock that stood still give no rate."""
    assert rates(before, after, elapsed) == expected


counters = st.lists(st.integers(0, 2**64), max_size=4)


@given(st.none() | counters, counters, st.none() | st.floats(-1e6, 1e9))
def test_no_rate_is_negative(before: list[float] | None, after: list[float], elapsed: float | None) -> None:
    """Nor anything but a number."""
    assert all(rate >= 0 and not math.isnan(rate) for rate in rates(before, after, elapsed) or [])
