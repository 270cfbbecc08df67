"""A point in time as rules of rotation see it: seconds and, in the host's zone, its day and hour."""

from __future__ import annotations

import time

DAY = 86400


class Moment:
    """Seconds since 1970, and what a calendar and a clock on the wall show then."""

    __slots__ = ("day", "hour", "minute", "month", "second", "seconds", "weekday", "year")

    def __init__(self, seconds: int, wall: time.struct_time) -> None:
        self.seconds = seconds
        self.year, self.month, self.day, self.hour, self.minute, self.second = wall[:6]
        self.weekday = (wall.tm_wday + 1) % 7
        """0 is Sunday."""

    def days_since(self, other: Moment) -> int:
        """Whole times 24 hours between the midnights that began both days: the change to summer time takes one away,
        as logrotate has it."""
        return (self._midnight() - other._midnight()) // DAY

    def week(self) -> int:
        """The number of its week, as ISO 8601 counts them."""
        return int(time.strftime("%V", time.localtime(self.seconds)))

    def _midnight(self) -> int:
        return int(time.mktime((self.year, self.month, self.day, 0, 0, 0, 0, 0, -1)))

    def __str__(self) -> str:
        return f"{self.year}-{self.month:02}-{self.day:02} {self.hour:02}:{self.minute:02}"


def in_names(now: Moment, *, yesterday: bool, hour_ago: bool) -> Moment:
    """The time that goes into names by date. Yesterday has its noon, in this season's time, and an hour ago is before
    that, as logrotate has it. Raises OverflowError or OSError."""
    seconds: float = now.seconds
    if yesterday:
        season = time.localtime(now.seconds).tm_isdst
        seconds = time.mktime((now.year, now.month, now.day - 1, 12, now.minute, now.second, 0, 0, season))
    if hour_ago:
        seconds -= 3600
    return at(seconds)


def at(seconds: float) -> Moment:
    """Raises OverflowError or OSError for times that the C library cannot count."""
    return Moment(int(seconds), time.localtime(seconds))


def on(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> Moment:
    """What the wall showed; days that do not exist are those that follow, as mktime(3) counts them.

    Raises OverflowError.
    """
    return at(time.mktime((year, month, day, hour, minute, second, 0, 0, -1)))
