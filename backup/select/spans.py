"""Spans of the calendar, as `--keep-within` has them: `1y5m7d2h`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

from backup.format.gotime import Moment
from kit.errors import UsageError

_SECOND = 10**9
_DAY = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PART = re.compile(r"([0-9]{1,6})([ymdh])")


class Span(NamedTuple):
    """Years, months, days and hours; months and days are the calendar's, whatever their length."""

    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0

    @classmethod
    def parse(cls, text: str) -> Span:
        """Each unit at most once, in any order. Raises UsageError."""
        parts = list(_PART.finditer(text))
        amounts = {part[2]: int(part[1]) for part in parts}
        if not parts or len(amounts) < len(parts) or "".join(part.group() for part in parts) != text:
            raise UsageError(
                f'"{text}" is no span of time: expected years, months, days and hours as in "1y5m7d2h", each once'
            )
        return cls(*(amounts.get(unit, 0) for unit in "ymdh"))

    def __bool__(self) -> bool:
        """Whether it has any length."""
        return any(self)

    def __str__(self) -> str:
        return "".join(f"{amount}{unit}" for amount, unit in zip(self, "ymdh", strict=True) if amount)

    def before(self, moment: Moment, local: tzinfo) -> float:
        """The nanoseconds since 1970 at which the span began that ends at `moment`; minus infinity before the year 1.

        Years, months and days are taken back on the wall clock, as Go's `AddDate` does it: a day that a month lacks
        becomes one of the next month. That clock is the one at the place `local` when the moment has its offset from
        UTC, and else one of that offset.
        """
        seconds, fraction = divmod(moment.nanoseconds, _SECOND)
        days, second_of_day = divmod(seconds + moment.offset, _DAY)
        try:
            day = date.fromordinal(days + _EPOCH.toordinal())
            year, month = divmod((day.year - self.years) * 12 + day.month - 1 - self.months, 12)
            first = date(year, month + 1, 1).toordinal() - _EPOCH.toordinal()
            wall = (first + day.day - 1 - self.days) * _DAY + second_of_day
            offset = moment.offset
            if _offset(seconds, local) == moment.offset:
                offset = _offset(wall, local)
                if offset:
                    offset = _offset(wall - offset, local)
        except (ValueError, OverflowError):
            return float("-inf")
        return (wall - offset - self.hours * 3600) * _SECOND + fraction


NO_SPAN = Span()


def _offset(seconds: int, zone: tzinfo) -> int:
    """Seconds east of UTC at a place at a time, in seconds since 1970."""
    offset = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone).utcoffset()
    assert offset is not None  # every zone has one at a time in UTC
    return int(offset.total_seconds())
