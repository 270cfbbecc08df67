"""Times of files as trees hold them: RFC 3339, up to nine digits behind the point, as Go's RFC3339Nano prints it."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

from backup.errors import DamagedError

NANOSECONDS = 1_000_000_000
_DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_CYCLE = 146_097
"""Days of the 400 years after which the calendar repeats; Python's own ends at the years 1 and 9999."""

# Days up to 31 in every month: a 30th of February is two days after the 28th, so that no text that passes can fail.
_INSTANT = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?"
    r"(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
is_instant = _INSTANT.fullmatch


def format_minute(minute: int, offset: int) -> tuple[str, str]:
    """What stands before and after the seconds, for a minute since 1970 (UTC) in a zone `offset` seconds east of it.

    A year beyond 0 to 9999 becomes the nearest of them, as restic has it: the format has four digits. An offset with
    seconds (local mean times of the 19th century) cannot be written; such times are given in UTC, so that they
    stay exact.
    """
    if offset % 60:
        offset = 0
    days, minute_of_day = divmod(minute + offset // 60, 1440)
    cycles, day_of_cycle = divmod(days, _CYCLE)
    day = date.fromordinal(_EPOCH + day_of_cycle)
    year, month, day_of_month = min(max(day.year + 400 * cycles, 0), 9999), day.month, day.day
    if year == 9999 and month == 2 and day_of_month == 29:
        month, day_of_month = 3, 1
    if offset:
        sign, east = ("-", -offset) if offset < 0 else ("+", offset)
        zone = f"{sign}{east // 3600:02d}:{east // 60 % 60:02d}"
    else:
        zone = "Z"
    return f"{year:04d}-{month:02d}-{day_of_month:02d}T{minute_of_day // 60:02d}:{minute_of_day % 60:02d}:", zone


def format_second(second: int, nanosecond: int) -> str:
    """The seconds of a minute with their fraction, without its trailing zeros."""
    if nanosecond:
        return ("%02d.%09d" % (second, nanosecond)).rstrip("0")  # noqa: UP031  # a half faster than an f-string
    return f"{second:02d}"


def format_instant(nanoseconds: int, offset: int = 0) -> str:
    """Nanoseconds since 1970 as text, in a zone `offset` seconds east of UTC."""
    seconds, fraction = divmod(nanoseconds, NANOSECONDS)
    minute, second = divmod(seconds, 60)
    before, after = format_minute(minute, offset)
    return before + format_second(second, fraction) + after


def instant_nanoseconds(text: str) -> int:
    """Nanoseconds since 1970. Raises DamagedError where `is_instant` says no."""
    if _INSTANT.fullmatch(text) is None:
        raise DamagedError(f"{text[:40]!r} is no time: expected one like 2024-05-06T07:08:09.123456789+02:00.")
    zone_at = -1 if text[-1] == "Z" else -6
    seconds = _minute_seconds(text[:16], text[zone_at:]) + int(text[17:19])
    fraction = text[20:zone_at]
    return seconds * NANOSECONDS + (int(fraction.ljust(9, "0")) if fraction else 0)


@lru_cache(maxsize=8192)
def _minute_seconds(minute: str, zone: str) -> int:
    """Seconds since 1970 at the beginning of a minute; files of one minute are many."""
    # Python's calendar has the years 1 to 9999 alone, and here there may be the day before or after them.
    cycles, year = divmod(int(minute[:4]), 400)
    first = date(year + 400, int(minute[5:7]), 1).toordinal() + (cycles - 1) * _CYCLE
    days = first + int(minute[8:10]) - 1 - _EPOCH
    seconds = days * _DAY + int(minute[11:13]) * 3600 + int(minute[14:16]) * 60
    if zone != "Z":
        east = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
        seconds += east if zone[0] == "-" else -east
    return seconds
