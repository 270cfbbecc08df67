"""How fast logs grow (pure): a mean over about a week, from looks at any times."""

from __future__ import annotations

import math

import msgspec

WEEK = 7 * 86400.0
DAY = 86400.0
FIRST_WORD = 3600.0
"""Seconds of looking before anything is said: a minute's growth says nothing of a day's."""

SOONEST = 1.0
"""Seconds between two looks that tell anything."""


class Look(msgspec.Struct, frozen=True):
    """A log as it was seen last. `at` is seconds since the epoch."""

    at: float
    size: int
    inode: int
    mean: float = 0.0
    """Bytes a second, times `weight`."""
    weight: float = 0.0
    """0 to 1: how much of a week's looking is in the mean."""

    @property
    def per_day(self) -> float | None:
        """Bytes that are written in a day; None while too little was seen."""
        if self.weight < 1 - math.exp(-FIRST_WORD / WEEK) - 1e-12:
            return None
        return self.mean / self.weight * DAY


def looked(before: Look | None, *, size: int, inode: int, at: float) -> Look:
    """What is known after another look. A log that is another file, or smaller, was begun anew in between."""
    if before is None:
        return Look(at, size, inode)
    passed = at - before.at
    if 0 <= passed < SOONEST:
        return before
    if passed < 0:  # a clock that went back: nothing can be told of what was in between
        return Look(at, size, inode, before.mean, before.weight)
    began_anew = inode != before.inode or size < before.size
    written = size if began_anew else size - before.size
    share = 1 - math.exp(-passed / WEEK)
    mean = before.mean + share * (written / passed - before.mean)
    weight = before.weight + share * (1 - before.weight)
    return Look(at, size, inode, mean, weight)


def rotated(before: Look, *, size: int, inode: int) -> Look:
    """The same log with a new file in its place, at the time of the look before."""
    return Look(before.at, size, inode, before.mean, before.weight)
