"""When things are due: pure functions of a schedule and a clock that is passed in."""

from __future__ import annotations

from typing import Annotated

import msgspec

from kit.units import Duration


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of `every`, `daily`, `weekly`, `monthly`, `quarterly`, and how strictly."""

    every: Annotated[Duration | None, msgspec.Meta(description="Run at this interval.", examples=["15m"])] = None
    daily: Annotated[str | None, msgspec.Meta(description="Run each day at this time.", examples=["02:00"])] = None
    weekly: Annotated[
        str | None, msgspec.Meta(description="Run each week on this day at this time.", examples=["sunday 02:00"])
    ] = None
    monthly: Annotated[
        str | None,
        msgspec.Meta(
            description="Run each month on this day: a number, `last`, or first to fourth or last of a weekday.",
            examples=["first sunday 01:00", "15 03:30", "last 23:00"],
        ),
    ] = None
    quarterly: Annotated[
        str | None,
        msgspec.Meta(description="As monthly, in January, April, July and October.", examples=["first sunday 01:00"]),
    ] = None
    timezone: Annotated[
        str,
        msgspec.Meta(
            description="The zone of these times, an IANA name; empty for the host's own.", examples=["Europe/Berlin"]
        ),
    ] = ""
    jitter: Annotated[
        Duration,
        msgspec.Meta(
            description="Spread the start over this span, by host name, so that a fleet does not act at once.",
            examples=["30m"],
        ),
    ] = Duration(0)
    catch_up: Annotated[
        bool,
        msgspec.Meta(description="Run once at start when a run was due while the host was off.", examples=[False]),
    ] = True
