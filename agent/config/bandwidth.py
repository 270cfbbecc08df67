"""How fast backups may send and receive, by the time of day. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from agent.timetable import WEEKDAYS
from kit.units import Size

_Clock = Annotated[
    str,
    msgspec.Meta(pattern=r"\A(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)\Z", extra={"words": 'a time such as "08:00"'}),
]
_Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_Rate = Annotated[Size, msgspec.Meta(extra={"minimum": Size(1024)})]


class BandwidthOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Other limits of bandwidth in a part of the day."""

    from_: Annotated[_Clock, msgspec.Meta(description="Its beginning, by the job's zone.", examples=["08:00"])] = (
        msgspec.field(name="from")
    )
    to: Annotated[
        _Clock,
        msgspec.Meta(description="Its end; one that is before the beginning is on the next day.", examples=["18:00"]),
    ]
    days: Annotated[
        tuple[_Day, ...],
        msgspec.Meta(
            description="The days on which it begins; every day by default.",
            examples=[["saturday", "sunday"]],
        ),
    ] = ()
    upload: Annotated[
        _Rate | None,
        msgspec.Meta(description="How much is sent in a second at most; no limit by default.", examples=["1MiB"]),
    ] = None
    download: Annotated[
        _Rate | None,
        msgspec.Meta(description="How much is fetched in a second at most; no limit by default.", examples=["4MiB"]),
    ] = None

    def __post_init__(self) -> None:
        if self.from_ == self.to:
            raise ValueError("from and to are the same: for the whole day write 00:00 and 24:00")
        if self.from_ == "24:00":
            raise ValueError("from: expected 00:00 instead of 24:00")

    def holds_at(self, wall: datetime) -> bool:
        """Whether a wall clock that shows this is in it."""
        minute, begin, end = wall.hour * 60 + wall.minute, _minutes(self.from_), _minutes(self.to)
        day = wall.weekday()
        if begin < end:
            return begin <= minute < end and self._begins_on(day)
        return (minute >= begin and self._begins_on(day)) or (minute < end and self._begins_on((day - 1) % 7))

    def _begins_on(self, weekday: int) -> bool:
        return not self.days or WEEKDAYS[weekday] in self.days


def window_at(windows: Sequence[BandwidthOptions], wall: datetime) -> BandwidthOptions | None:
    """The first that holds when the clock shows this; None outside of all."""
    return next((window for window in windows if window.holds_at(wall)), None)


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
