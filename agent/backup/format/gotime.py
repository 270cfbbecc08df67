"""Times as restic writes them: RFC 3339 with nanoseconds, as Go's `time.RFC3339Nano` prints it.

Trailing zeros of the fraction are left out, and the zone is an offset in hours and minutes or `Z`. Nanoseconds do not
fit into a `datetime`, so a time is a pair here: nanoseconds since 1970 in UTC, and seconds east of UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from agent.backup.errors import DamagedError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORM = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:([Zz])|([+-])(\d\d):(\d\d)(?::(\d\d))?)", re.ASCII
)
_SECOND = 1_000_000_000
FIRST = -62_135_596_800 * _SECOND
"""0001-01-01T00:00:00Z, which Go's zero time is."""
LAST = 253_402_300_800 * _SECOND - 1
"""The last nanosecond of the year 9999."""


class Moment(NamedTuple):
    """A time on a wall clock."""

    nanoseconds: int
    """Since 1970 in UTC; from FIRST to LAST."""
    offset: int = 0
    """Seconds east of UTC of the clock."""

    def datetime(self) -> datetime:
        """The same, to the microsecond, in the zone of the clock. Rounded down."""
        zone = timezone(timedelta(seconds=self.offset))
        try:
            return (_EPOCH + timedelta(microseconds=self.nanoseconds // 1000)).astimezone(zone)
        except OverflowError:  # the first and last day, in a zone in which it is not of these years
            return _EPOCH + timedelta(microseconds=self.nanoseconds // 1000)


ZERO = Moment(FIRST)
"""What Go writes for a time that was never set."""


def from_datetime(time: datetime) -> Moment:
    """A moment, of a time that knows its zone."""
    offset = time.utcoffset()
    assert offset is not None
    return Moment((time - _EPOCH) // timedelta(microseconds=1) * 1000, int(offset.total_seconds()))


def format_moment(moment: Moment) -> str:
    """As Go prints it. A time or zone that RFC 3339 cannot say is moved to the nearest that it can."""
    offset = moment.offset - moment.offset % 60
    nanoseconds = min(max(moment.nanoseconds, FIRST - offset * _SECOND), LAST - offset * _SECOND)
    seconds, fraction = divmod(nanoseconds, _SECOND)
    local = _EPOCH + timedelta(seconds=seconds + offset)
    text = f"{local.year:04}-{local.month:02}-{local.day:02}T{local.hour:02}:{local.minute:02}:{local.second:02}"
    if fraction:
        text += f".{fraction:09}".rstrip("0")
    if offset == 0:
        return text + "Z"
    hours, minutes = divmod(abs(offset) // 60, 60)
    return f"{text}{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}"


def parse_moment(text: str) -> Moment:
    """The reverse, of any RFC 3339 time; digits beyond nanoseconds are dropped. Raises DamagedError."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise DamagedError(f"not a time: {text[:40]!r}")
    year, month, day, hour, minute, second, fraction, _zulu, sign, hours, minutes, seconds = found.groups()
    offset = 0
    if sign:
        offset = int(hours) * 3600 + int(minutes) * 60 + int(seconds or 0)
        if int(hours) > 23 or int(minutes) > 59 or int(seconds or 0) > 59:
            raise DamagedError(f"not a time: {text[:40]!r}")
        offset = -offset if sign == "-" else offset
    try:
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError:
        raise DamagedError(f"not a time: {text[:40]!r}") from None
    whole = (local - _EPOCH) // timedelta(seconds=1) - offset
    return Moment(whole * _SECOND + int((fraction or "0")[:9].ljust(9, "0")), offset)
