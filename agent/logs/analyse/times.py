"""Times as logs write them (pure): seconds since the epoch, or None for what is no time.

A time without a zone is one of the log's host, a time without a year the latest that is not later than a day after
the log was last written to.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

DAY = 86400.0
_KEPT = 4096
"""Minutes that are remembered: lines come in the order of time, so few are met at once."""

_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}
_CLF = re.compile(rb"(\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}):(\d{2}) ([+-]\d{4})")
ISO = (
    rb"(\d{4}[-/]\d{2}[-/]\d{2}[T ]\d{2}:\d{2}):(\d{2})(?:[.,](\d{1,9}))?"
    rb" ?(Z\b|UTC\b|GMT\b|[+-]\d{2}(?::?\d{2})?\b)?"
)
"""A time of ISO 8601 as logs have it; four groups: minute, seconds, fraction, zone."""
_ISO = re.compile(ISO)
_SYSLOG = re.compile(rb"([A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}):(\d{2})(?:\.(\d{1,9}))?(?: (\d{4}))?")


class Clock:
    """The time zone of a log, and when it was last written to."""

    def __init__(self, zone: tzinfo, reference: float) -> None:
        self._zone = zone
        self._reference = reference
        self._minutes: dict[bytes, float | None] = {}
        offset = zone.utcoffset(datetime.fromtimestamp(reference, zone).replace(tzinfo=None)) or timedelta()
        self._past_hour = offset.total_seconds() % 3600
        """Of the zone's hours, how much later than UTC's they begin to count."""

    def hour(self, time: float) -> int:
        """When the hour of a time begins, in seconds since the epoch."""
        return int(time - (time + self._past_hour) % 3600)

    def clf(self, text: bytes) -> float | None:
        """`22/Nov/2026:14:17:29 +0100`, as access logs have it."""
        match = _CLF.match(text)
        if match is None:
            return None
        minute = self._minute(match[1] + match[3])
        return None if minute is None else minute + _seconds(match[2], None)

    def iso(self, text: bytes) -> float | None:
        """`2026-11-22T14:17:29.123+01:00`, with a blank, a slash or a comma where programs write those."""
        match = _ISO.match(text)
        return None if match is None else self.iso_parts(match[1], match[2], match[3], match[4])

    def iso_parts(self, minute: bytes, second: bytes, fraction: bytes | None, zone: bytes | None) -> float | None:
        """The four groups of ISO."""
        begin = self._minute(minute + (zone or b""))
        return None if begin is None else begin + _seconds(second, fraction)

    def syslog(self, text: bytes) -> float | None:
        """`Nov 22 14:17:29`; a year may follow, as Apache has it."""
        match = _SYSLOG.match(text)
        if match is None:
            return None
        minute = self._minute(match[1] + (match[4] or b""))
        return None if minute is None else minute + _seconds(match[2], match[3])

    def _minute(self, text: bytes) -> float | None:
        if text in self._minutes:
            return self._minutes[text]
        if len(self._minutes) >= _KEPT:
            self._minutes.clear()
        try:
            found = self._read(text)
        except (ValueError, KeyError, OverflowError, OSError):
            found = None
        self._minutes[text] = found
        return found

    def _read(self, text: bytes) -> float:
        if text[2:3] == b"/":
            day, month, year = int(text[:2]), _MONTHS[text[3:6]], int(text[7:11])
            zone = _zone(text[17:])
            return datetime(year, month, day, int(text[12:14]), int(text[15:17]), tzinfo=zone).timestamp()
        if text[:1].isdigit():
            year, month, day, hour, minute = (int(text[at:end]) for at, end in _ISO_FIELDS)
            zone = _zone(text[16:]) if len(text) > 16 else self._zone
            return datetime(year, month, day, hour, minute, tzinfo=zone).timestamp()
        month, day, hour, minute = _MONTHS[text[:3]], int(text[4:6]), int(text[7:9]), int(text[10:12])
        if len(text) > 12:
            return datetime(int(text[12:]), month, day, hour, minute, tzinfo=self._zone).timestamp()
        return self._latest(month, day, hour, minute)

    def _latest(self, month: int, day: int, hour: int, minute: int) -> float:
        """Of the years that this may be in, the last one; a 29th of February lies up to eight years back."""
        newest = datetime.fromtimestamp(self._reference + DAY, self._zone).year
        for year in range(newest, newest - 9, -1):
            try:
                seconds = datetime(year, month, day, hour, minute, tzinfo=self._zone).timestamp()
            except ValueError:
                continue
            if seconds <= self._reference + DAY:
                return seconds
        raise ValueError("there is no such day")


_ISO_FIELDS = ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16))


def of_number(number: float) -> float | None:
    """Seconds, or milli-, micro- or nanoseconds since the epoch: what lies between 1973 and 2286."""
    for factor in (1.0, 1e3, 1e6, 1e9):
        if 1e8 <= number / factor < 1e10:
            return number / factor
    return None


def _seconds(whole: bytes, fraction: bytes | None) -> float:
    return int(whole) + (int(fraction) / 10 ** len(fraction) if fraction else 0.0)


def _zone(text: bytes) -> tzinfo:
    if text in (b"Z", b"UTC", b"GMT"):
        return UTC
    digits = text[1:].replace(b":", b"").ljust(4, b"0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]))
    return timezone(-offset if text[:1] == b"-" else offset)
