"""Places of which there are only so many, each held until a time. Pure."""

from __future__ import annotations

from collections.abc import Mapping

Places = dict[str, float]
"""Holder to the end of the hold, seconds since the epoch."""


def taken(held: Mapping[str, float], holder: str, places: int, *, now: float, duration: float) -> Places | None:
    """The places once `holder` has one until `now + duration`; None where all are others'.

    A hold that lies further ahead than any could (a clock that was set back) is over too.
    """
    good = {name: until for name, until in held.items() if now < until <= now + 10 * duration}
    if holder not in good and len(good) >= places:
        return None
    return {**good, holder: now + duration}


def given_back(held: Mapping[str, float], holder: str) -> Places:
    """The places without the holder's."""
    return {name: until for name, until in held.items() if name != holder}
