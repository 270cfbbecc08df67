"""Which logs would fill their disk before their next turn (pure).

What was written within a span says something of `AHEAD` times that span. So a burst says nothing of tomorrow, and yet
is believed where the disk has no room for a few more of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

SPANS = (5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0, 86400.0)
"""Seconds."""
AHEAD = 4.0
POINTS = 24
"""That are kept of one log, the older the sparser."""
SHARE = 0.1
"""Of all that is written on a file system: a log that has less of it is no help when it is rotated."""
WORTH = 2**20
"""Bytes that a log must have for its rotation to win anything."""
PART = 0.02
"""Of the room that is left, which it must have too: else it would be rotated for nothing, again and again."""


class Growth:
    """What was written into one log. `now` is of a clock that nobody sets."""

    __slots__ = ("_size", "points")

    def __init__(self, now: float, size: int) -> None:
        self._size = size
        self.points: list[tuple[float, int]] = [(now, 0)]
        """Times, and bytes written until then."""

    def add(self, now: float, size: int) -> None:
        """The log has `size` bytes at `now`. One that has become smaller began again from nothing."""
        written = self.points[-1][1] + (size - self._size if size >= self._size else size)
        self._size = size
        if len(self.points) > 1 and now - self.points[-2][0] < 1:
            self.points.pop()
        self.points = thinned([*self.points, (now, written)])

    def rate(self, now: float, span: float) -> float:
        """Bytes a second over the last `span` seconds; nothing is taken to be written before the first look."""
        early = next((written for when, written in self.points if when >= now - span), self.points[-1][1])
        return (self.points[-1][1] - early) / span


class Log(NamedTuple):
    """What is known of a log."""

    path: str
    size: int
    growth: Growth
    turn: float
    """Seconds until it is rotated anyhow; infinite where that is in no sight."""


class Danger(NamedTuple):
    """A log that would fill the disk."""

    path: str
    seconds: float
    """Until there is no room left."""
    rate: float
    """Bytes a second by which the watched logs of that file system grow."""


def thinned(points: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """At most POINTS of them. The first and the last stay; of the others goes whose neighbours are nearest to each
    other, for how long ago it is."""
    kept = list(points)
    while len(kept) > POINTS:
        last = kept[-1][0]
        gaps = [
            (late[0] - early[0]) / (last - point[0] + 1)
            for early, point, late in zip(kept, kept[1:], kept[2:], strict=False)
        ]
        del kept[1 + gaps.index(min(gaps))]
    return kept


def endangering(logs: Sequence[Log], room: float, now: float) -> list[Danger]:
    """Those logs of one file system that are to be rotated now, the most urgent first. `room` is the bytes that are
    free above what is to stay so; it may be less than none.

    Each of them is large, has a good part in what is written, and has no turn before the room is used up.
    """
    room = max(0.0, room)
    found: dict[str, Danger] = {}
    for span in SPANS:
        rates = [log.growth.rate(now, span) for log in logs]
        together = sum(rates)
        if together <= 0 or room > together * AHEAD * span:
            continue
        seconds = room / together
        for log, rate in zip(logs, rates, strict=True):
            known = found.get(log.path)
            is_large = log.size >= max(WORTH, PART * room)
            if (
                is_large
                and rate >= SHARE * together
                and log.turn > seconds
                and (known is None or seconds < known.seconds)
            ):
                found[log.path] = Danger(log.path, seconds, together)
    return sorted(found.values(), key=lambda danger: danger.seconds)
