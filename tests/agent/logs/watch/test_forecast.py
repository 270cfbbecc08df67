"""Which logs are rotated before they fill their disk: a pure rule of growth, room and turns."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.logs.watch.forecast import POINTS, Growth, Log, endangering, thinned

MiB = 2**20
GiB = 2**30


def grown(rate: Callable[[float], float], seconds: int, *, begin: int = 0) -> Growth:
    """A log that was looked at each second."""
    size = float(begin)
    growth = Growth(0.0, begin)
    for second in range(1, seconds + 1):
        size += rate(second)
        growth.add(float(second), int(size))
    return growth


def log(path: str, growth: Growth, *, size: int = GiB, turn: float = 86400.0) -> Log:
    return Log(path, size, growth, turn)


def test_a_log_that_fills_the_disk_before_its_turn_is_in_danger() -> None:
    """A minute of 10 MiB a second fills 2 GiB in the next four."""
    growth = grown(lambda _: 10 * MiB, 60)
    [danger] = endangering([log("/a", growth)], 2 * GiB, 60.0)
    assert danger.path == "/a"
    assert danger.seconds == pytest.approx(205, rel=0.05)
    assert danger.rate == pytest.approx(10 * MiB, rel=0.05)


@pytest.mark.parametrize(
    ("room", "turn", "size"),
    [
        (2 * GiB, 100.0, GiB),  # its turn comes before
        (500 * GiB, 86400.0, GiB),  # a minute says nothing of half a day
        (MiB, 86400.0, MiB - 1),  # nothing is won
        (2 * GiB, 86400.0, 40 * MiB),  # nothing to speak of is won
    ],
)
def test_it_is_left_alone(room: int, turn: float, size: int) -> None:
    """Where its turn is near, the room ample, or the log small."""
    growth = grown(lambda _: 10 * MiB, 60)
    assert endangering([log("/a", growth, size=size, turn=turn)], room, 60.0) == []


def test_a_burst_is_believed_only_for_the_next_moments() -> None:
    """Ten seconds of 50 MiB a second are no trouble with 4 GiB free, also later; with 1 GiB they are."""
    growth = grown(lambda _: 50 * MiB, 10)
    assert endangering([log("/a", growth)], 4 * GiB, 10.0) == []
    assert [danger.path for danger in endangering([log("/a", growth)], GiB, 10.0)] == ["/a"]
    growth.add(600.0, 500 * MiB)
    assert endangering([log("/a", growth)], 4 * GiB, 600.0) == []


def test_a_slow_growth_is_seen_over_a_long_time() -> None:
    """A GiB a day fills the last 3 GiB before a turn in a week."""
    growth = grown(lambda second: GiB / 1440, 1440)
    points = [(when * 60, written) for when, written in growth.points]
    growth.points = points
    assert endangering([log("/a", growth, turn=math.inf)], 3 * GiB, 86400.0)
    assert not endangering([log("/a", growth, turn=2 * 86400.0)], 3 * GiB, 86400.0)


def test_only_those_that_matter_are_named() -> None:
    """What grows by little is no help; a log that does not grow neither, however large."""
    fast, slow, still = grown(lambda _: 10 * MiB, 60), grown(lambda _: MiB / 2, 60), grown(lambda _: 0, 60)
    logs = [log("/slow", slow), log("/still", still), log("/fast", fast)]
    assert [danger.path for danger in endangering(logs, GiB, 60.0)] == ["/fast"]


def test_where_no_room_is_left_what_grows_goes_at_once() -> None:
    """Also where there is less than none."""
    growth = grown(lambda _: MiB, 30)
    assert endangering([log("/a", growth, turn=10.0)], -GiB, 30.0)[0].seconds == 0


def test_a_log_that_was_truncated_goes_on_from_nothing() -> None:
    """What is written counts, not what is there."""
    growth = Growth(0.0, 100)
    growth.add(10.0, 50)
    growth.add(20.0, 80)
    assert growth.rate(20.0, 86400.0) * 86400 == 80


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(0.1, 5000), st.integers(0, 10**9)), min_size=1, max_size=120))
def test_thinning_keeps_the_ends_and_the_order(steps: list[tuple[float, int]]) -> None:
    """And never more than there is room for."""
    when = written = 0
    points: list[tuple[float, int]] = [(0.0, 0)]
    now = 0.0
    for seconds, size in steps:
        now, written = now + seconds, written + size
        points.append((now, written))
    kept = thinned(points)
    assert when == 0
    assert len(kept) == min(POINTS, len(points))
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert kept == sorted(kept) and set(kept) <= set(points)
