"""Counts in a window that moves."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agent.logs.tally import SLICES, SPARE, Tally, Values, added, count, most_frequent, moved

WINDOW = 120.0


def stored(tally: Tally) -> Tally:
    """As it comes back from where it is kept."""
    return msgspec.convert(msgspec.msgpack.decode(msgspec.msgpack.encode(tally)), Tally)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 60),
            st.dictionaries(st.tuples(st.text(max_size=3)), st.integers(1, 50), max_size=8),
        ),
        max_size=30,
    ),
    st.integers(1, 3),
)
def test_no_match_is_counted_twice_or_forgotten_within_the_window(
    runs: list[tuple[float, dict[Values, int]]], shown: int
) -> None:
    """What is in the window is at most what was found within it, and at least that but for one slice; by name or as
    others, all are there; and what is remembered has its bounds."""
    tally, now, history = Tally(), 0.0, list[tuple[float, int]]()
    for passed, found in runs:
        now += passed
        tally = added(stored(moved(tally, passed, WINDOW)), found, WINDOW, shown)
        history.append((now, sum(found.values())))
        within = sum(number for when, number in history if now - when < WINDOW)
        surely = sum(number for when, number in history if now - when < WINDOW - WINDOW / SLICES - 1e-6)
        assert surely <= count(tally) <= within
        assert tally.total == sum(number for _, number in history)
        named, others = most_frequent(tally, shown)
        assert len(named) <= shown
        assert others >= 0
        assert sum(number for _, number in named) + others == count(tally)
        assert len(tally.slices) <= SLICES + 1
        assert all(len(part.values) <= SPARE * shown for part in tally.slices)


def test_the_most_frequent_are_told_apart_under_a_flood() -> None:
    """A thousand values that come once do not hide the one that comes often."""
    tally = Tally()
    for run in range(10):
        found = Counter({(f"10.0.{run}.{number}",): 1 for number in range(100)})
        found["1.1.1.1",] = 5
        tally = added(moved(tally, 10, WINDOW), found, WINDOW, 3)
    named, others = most_frequent(tally, 3)
    assert named[0] == (("1.1.1.1",), 50)
    assert others == count(tally) - sum(number for _, number in named)
    assert count(tally) == 1050


def test_a_pattern_without_groups_has_no_values() -> None:
    """All its matches are one number."""
    tally = added(Tally(), {(): 7}, WINDOW, 10)
    assert count(tally) == tally.total == 7
    assert most_frequent(tally, 10) == ([], 7)


def test_nothing_found_leaves_no_slice() -> None:
    """A quiet log costs nothing to remember."""
    tally = Tally()
    for _ in range(100):
        tally = added(moved(tally, 60, WINDOW), {}, WINDOW, 10)
    assert tally == Tally()
