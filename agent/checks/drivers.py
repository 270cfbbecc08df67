"""What the checks of databases and queues share: a driver that may be missing, secrets that no message shows, lists
that stay short, and what is measured less often than the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from agent.checks.contract import CheckError, Finding
from agent.credentials import read_secret
from kit.errors import HostwardError

T = TypeVar("T")

DAY = 86400.0
SPAN = 7 * DAY
"""How far back a trend looks."""
SETTLED = 3600.0
"""Seconds that a trend must span before it says anything: what came in one minute is no rate for a day."""
STEP = DAY
"""Seconds between two points that are kept: the oldest one is what counts, the others take its place one by one."""


def missing(extra: str) -> CheckError:
    """What to say where the driver of an extra is not installed."""
    return CheckError(
        f"the driver is not installed: run `make install EXTRAS={extra}` in the checkout that the agent was "
        f"installed from (the package's extra is hostward[{extra}])"
    )


def read_password(place: str) -> str:
    """The password in `place`, empty where none is configured. Raises CheckError where it cannot be used."""
    try:
        return read_secret(place) if place else ""
    except HostwardError as error:
        raise CheckError(str(error)) from None


def told(error: BaseException, *secrets: str) -> str:
    """What a driver said, in one line and without `secrets`; its type where it said nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text


def largest(items: Iterable[T], key: Callable[[T], float], limit: int, what: str) -> tuple[list[T], list[Finding]]:
    """The `limit` largest, and a remark on how many more there are: `what` is "databases"."""
    ordered = sorted(items, key=key, reverse=True)
    more = len(ordered) - limit
    remarks = [Finding("ok", f"{more} {what} more than the {limit} largest are not shown")] if more > 0 else []
    return ordered[:limit], remarks


class Trend(msgspec.Struct, frozen=True, array_like=True):
    """A size over some days: a few points, each with its time in seconds since the epoch, the oldest first."""

    points: tuple[tuple[float, float], ...] = ()

    def add(self, now: float, value: float) -> Trend:
        """With another point, unless the last one is recent, and without those that are too old.

        A clock that was set back starts it anew.
        """
        if self.points and now < self.points[-1][0]:
            return Trend(((now, value),))
        kept = tuple(point for point in self.points if now - point[0] <= SPAN)
        if kept and now - kept[-1][0] < STEP:
            return Trend(kept)
        return Trend((*kept, (now, value)))

    def per_day(self, now: float, value: float) -> float | None:
        """Growth a day since the oldest point, or None while that is too young to tell."""
        if not self.points or now - self.points[0][0] < SETTLED:
            return None
        since, before = self.points[0]
        return (value - before) / (now - since) * DAY
