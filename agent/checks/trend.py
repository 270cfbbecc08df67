"""When something will be used up, told from how it went (pure).

Of a history of points, evenly thinned, the Theil-Sen slope is taken: the median of the slopes between all pairs of
points, which a minority of odd points does not move (https://en.wikipedia.org/wiki/Theil–Sen_estimator). One step
that stands out from all others, such as a large file that was deleted or copied, is taken out before: a step in the
middle would touch half of the pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from statistics import median

import msgspec

SPACING = 3 * 3600.0
"""Seconds between two points that are kept."""
SPAN = 7 * 86400.0
"""Seconds for which a point is kept."""
ENOUGH = 86400.0
"""Seconds that a history must last before it says anything."""
OUTSTANDING = 2.0
"""A step stands out when it differs from the usual one so many times as much as any other."""

Point = tuple[float, float]
"""Seconds since the epoch, and the value then."""


class Trend(msgspec.Struct, frozen=True, array_like=True):
    """The history of one value."""

    points: list[Point] = []
    slope: float | None = None
    """Units a second; None while the history is too short."""


def followed(trend: Trend, now: float, value: float) -> Trend:
    """The trend with this value: a point once every SPACING. Points after `now` are of a clock that was set back."""
    points = [point for point in trend.points if now - SPAN <= point[0] <= now]
    if points and now - points[-1][0] < SPACING:
        return trend if len(points) == len(trend.points) else Trend(points, slope(points))
    points.append((now, value))
    return Trend(points, slope(points))


def slope(points: Sequence[Point]) -> float | None:
    """Units a second, None where the points tell too little."""
    if len(points) < 3 or points[-1][0] - points[0][0] < ENOUGH:
        return None
    level = without_step(points)
    return median((late[1] - early[1]) / (late[0] - early[0]) for early, late in combinations(level, 2))


def without_step(points: Sequence[Point]) -> list[Point]:
    """The points as if the one step that stands out had been as steep as usual."""
    steps = [(late[1] - early[1]) / (late[0] - early[0]) for early, late in pairwise(points)]
    usual = median(steps)
    odd = sorted(range(len(steps)), key=lambda number: abs(steps[number] - usual))
    last, before = odd[-1], odd[-2]
    if abs(steps[last] - usual) <= OUTSTANDING * abs(steps[before] - usual):
        return list(points)
    shift = (steps[last] - usual) * (points[last + 1][0] - points[last][0])
    return [*points[: last + 1], *((when, value - shift) for when, value in points[last + 1 :])]


def seconds_until_gone(trend: Trend, left: float) -> float | None:
    """When nothing of `left` is left, where the value grows by what `left` shrinks; None where it does not grow."""
    if trend.slope is None or trend.slope <= 0:
        return None
    return max(0.0, left) / trend.slope
