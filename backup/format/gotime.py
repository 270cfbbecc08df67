"""Times of snapshots, locks and keys: a time and the zone of the clock that it was read from.

Nanoseconds do not fit into a `datetime`, and files of restic have them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from backup.format.instant import format_instant, instant_nanoseconds

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(NamedTuple):
    """A time on a wall clock."""

    nanoseconds: int
    """Since 1970 in UTC."""
    offset: int = 0
    """Seconds east of UTC of the clock."""

    def datetime(self) -> datetime:
        """The same, to the microsecond, rounded down, in the zone of the clock.

        A time that `datetime` has not, in the years 0 and 9999, becomes the nearest that it has, in UTC.
        """
        try:
            zone = timezone(timedelta(seconds=self.offset))
            return (_EPOCH + timedelta(microseconds=self.nanoseconds // 1000)).astimezone(zone)
        except OverflowError:
            if self.nanoseconds < 0:
                return datetime.min.replace(tzinfo=UTC)
            return datetime.max.replace(tzinfo=UTC)


def from_datetime(time: datetime) -> Moment:
    """A moment, of a time that knows its zone."""
    offset = time.utcoffset()
    assert offset is not None
    return Moment((time - _EPOCH) // timedelta(microseconds=1) * 1000, int(offset.total_seconds()))


def format_moment(moment: Moment) -> str:
    """As Go prints it (RFC 3339 with nanoseconds)."""
    return format_instant(moment.nanoseconds, moment.offset)


def parse_moment(text: str) -> Moment:
    """The reverse. Raises DamagedError."""
    nanoseconds = instant_nanoseconds(text)
    if text.endswith("Z"):
        return Moment(nanoseconds)
    hours, minutes = int(text[-5:-3]), int(text[-2:])
    offset = hours * 3600 + minutes * 60
    return Moment(nanoseconds, -offset if text[-6] == "-" else offset)
