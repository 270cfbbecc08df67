"""A point in time as rules of rotation see it: seconds and, in the host's zone, its day and hour."""

from __future__ import annotations

import time

DAY = 86400


class Moment:
    """Seconds since 1970, and what a calendar and a clock on the wall show then."""

    __slots__ = ("_shown", "day", "hour", "minute", "month", "season", "second", "seconds", "weekday", "year")

    def __init__(self, seconds: int, wall: time.struct_time) -> None:
        self.seconds = seconds
        self.year, self.month, self.day, self.hour, self.minute, self.second = wall[:6]
        self._shown = ""
        self.weekday = (wall.tm_wday + 1) % 7
        """0 is Sunday."""
        self.season = wall.tm_isdst
        """1 in summer time."""

    def is_same_day(self, other: Moment) -> bool:
        """By the calendar."""
        return (self.year, self.month, self.day) == (other.year, other.month, other.day)

    def is_same_hour(self, other: Moment) -> bool:
        """By calendar and clock."""
        return self.hour == other.hour and self.is_same_day(other)

    def days_since(self, other: Moment) -> int:
        """Whole times 24 hours between the beginnings of both days, taken to be as long ago as the clock shows: a
        change to summer time in between takes one away, as logrotate has it."""
        return (self._midnight() - other._midnight()) // DAY

    def week(self) -> int:
        """The number of its week, as ISO 8601 counts them."""
        return int(time.strftime("%V", time.localtime(self.seconds)))

    def _midnight(self) -> int:
        return self.seconds - (self.hour * 60 + self.minute) * 60 - self.second

    def __str__(self) -> str:
        if not self._shown:  # for each of a thousand logs it is asked for
            self._shown = f"{self.year}-{self.month:02}-{self.day:02} {self.hour:02}:{self.minute:02}"
        return self._shown


def in_names(now: Moment, *, yesterday: bool, hour_ago: bool) -> Moment:
    """The time that goes into names by date. Yesterday has its noon, in this season's time, and an hour ago is before
    that, as logrotate has it. Raises OverflowError or OSError."""
    seconds: float = now.seconds
    if yesterday:
        seconds = time.mktime((now.year, now.month, now.day - 1, 12, now.minute, now.second, 0, 0, now.season))
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
