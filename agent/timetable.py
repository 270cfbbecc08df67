"""When things are due: pure functions of a schedule and a clock that is passed in.

Three rules hold for all schedules:

- A time of day is reached at the first moment at which the wall clock shows it or a later one. So a time that the
  change to summer time leaves out is reached right after the gap, and one that the clock shows twice is reached once.
- A month that is too short for its day has it on its last one: "31 02:00" runs each month.
- `jitter` moves every due time of a job on a host by the same delay, which follows from their names.
"""

from __future__ import annotations

import calendar
import hashlib
import re
from collections.abc import Callable, Container, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import partial
from itertools import count
from typing import Annotated, ClassVar

import msgspec

from kit.options.wrong import OptionError
from kit.units import Duration
from kit.zones import zone_of

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
ORDINALS = ("first", "second", "third", "fourth", "last")
QUARTERS = (1, 4, 7, 10)
KINDS = ("every", "daily", "weekly", "monthly", "quarterly", "yearly")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_DAY = re.compile(r"0?[1-9]|[12][0-9]|3[01]")
_LOOK_BACK = {"daily": 3, "weekly": 10, "monthly": 64, "quarterly": 190, "yearly": 740}
"""Within so many days there surely is a due one, with room for zones that skipped a day."""

Days = Callable[[date], Iterator[date]]
"""The days on which something is due, in order, from a given one on."""
DayOfMonth = Callable[[int, int], int]
"""The day on which something is due in a year's month."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of `every`, `daily`, `weekly`, `monthly`, `quarterly`, `yearly`, and how strictly.

    Raises ValueError, saying what was expected, when it is not exactly one or when one (OptionError) cannot be read.
    """

    must_say_when: ClassVar[bool] = True

    every: Annotated[
        Duration | None,
        msgspec.Meta(
            description="Run at this interval, counted from midnight UTC on 1 January 1970.",
            examples=["15m"],
            extra={"minimum": Duration(1), "maximum": Duration(366 * 86400)},
        ),
    ] = None
    daily: Annotated[
        str | None,
        msgspec.Meta(
            description="Run each day at this time. A time that the change to summer time leaves out comes right "
            "after the gap; one that the clock shows twice comes once.",
            examples=["02:00"],
        ),
    ] = None
    weekly: Annotated[
        str | None, msgspec.Meta(description="Run each week on this day at this time.", examples=["sunday 02:00"])
    ] = None
    monthly: Annotated[
        str | None,
        msgspec.Meta(
            description="Run each month on this day: a number, `last`, or first to fourth or last of a weekday. "
            "A shorter month has a number that it lacks on its last day.",
            examples=["first sunday 01:00", "15 03:30", "last 23:00"],
        ),
    ] = None
    quarterly: Annotated[
        str | None,
        msgspec.Meta(description="As monthly, in January, April, July and October.", examples=["first sunday 01:00"]),
    ] = None
    yearly: Annotated[
        str | None,
        msgspec.Meta(
            description="Run each year in this month: its name, then as monthly.",
            examples=["january 1 00:00", "april last friday 02:00"],
        ),
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
            extra={"maximum": Duration(31 * 86400)},
        ),
    ] = Duration(0)
    catch_up: Annotated[
        bool,
        msgspec.Meta(description="Run once at start when a run was due while the host was off.", examples=[False]),
    ] = True

    def __post_init__(self) -> None:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) > 1 or (self.must_say_when and not given):
            found = " and ".join(given) or "none"
            raise ValueError(f"expected exactly one of {', '.join(KINDS[:-1])} and {KINDS[-1]}, found {found}")
        if given and self.every is None:
            _read(given[0], getattr(self, given[0]))
        zone_of(self.timezone)

    @property
    def is_timed(self) -> bool:
        """Whether it says when. The functions below are for schedules that do."""
        return any(getattr(self, kind) is not None for kind in KINDS)


class OptionalSchedule(Schedule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most one of `every` to `yearly`: without any it runs by hand alone."""

    must_say_when: ClassVar[bool] = False


def in_words(schedule: Schedule) -> str:
    """As it is configured: `daily 02:00 Europe/Berlin`. Empty for one that says no time."""
    given = [f"{kind} {value}" for kind in KINDS if (value := getattr(schedule, kind)) is not None]
    return " ".join([*given, schedule.timezone]).rstrip() if given else ""


def next_due(schedule: Schedule, after: datetime, *, host: str, job: str = "") -> datetime:
    """The first due time later than `after`, in UTC. `after` must be aware (ValueError)."""
    delay = _delay(schedule, host, job)
    start = _utc(after) - delay
    if schedule.every is not None:
        return _last_multiple(schedule.every, start) + _interval(schedule.every) + delay
    return next(due for due in _dues(schedule, start) if due > start) + delay


def last_due(schedule: Schedule, now: datetime, *, host: str, job: str = "") -> datetime:
    """The last due time that is not later than `now`, in UTC. `now` must be aware (ValueError)."""
    delay = _delay(schedule, host, job)
    start = _utc(now) - delay
    if schedule.every is not None:
        return _last_multiple(schedule.every, start) + delay
    last = start
    for due in _dues(schedule, start):
        if due > start:
            break
        last = due
    return last + delay


def missed(schedule: Schedule, last_run: datetime | None, now: datetime, *, host: str, job: str = "") -> bool:
    """Whether a run was due after `last_run` and until `now`. What never ran has missed nothing: it is new.

    `schedule.catch_up` says whether that matters. Both times must be aware (ValueError).
    """
    return last_run is not None and last_due(schedule, now, host=host, job=job) > _utc(last_run)


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("expected a time with a zone")
    return moment.astimezone(UTC)


def _delay(schedule: Schedule, host: str, job: str) -> timedelta:
    """From nothing up to, but not including, the jitter; the same for ever."""
    digest = hashlib.blake2b(f"{host}\0{job}".encode(), digest_size=8).digest()
    span = int(schedule.jitter * 1_000_000)
    return (int.from_bytes(digest, "big") * span >> 64) * _MICROSECOND


def _interval(every: Duration) -> timedelta:
    return max(timedelta(seconds=every), _MICROSECOND)


def _last_multiple(every: Duration, now: datetime) -> datetime:
    return now - (now - _EPOCH) % _interval(every)


def _dues(schedule: Schedule, around: datetime) -> Iterator[datetime]:
    """Due times without jitter, in order, from some before `around` on. Not for `every`."""
    kind, text = next((kind, text) for kind in _READERS if (text := getattr(schedule, kind)) is not None)
    days, at = _read(kind, text)
    zone = zone_of(schedule.timezone)
    first = around.astimezone(zone).date() - timedelta(days=_LOOK_BACK[kind])
    return (_reached(datetime.combine(day, at), zone) for day in days(first))


def _reached(wall: datetime, zone: tzinfo) -> datetime:
    """When a clock in `zone` first shows `wall` or a later time, in UTC."""
    # Where the time does not exist, fold=0 counts by the offset before the gap, which leads past it; fold=1 leads to
    # before it (PEP 495). Where it exists twice, fold=0 is the first.
    late = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if late.astimezone(zone).replace(tzinfo=None) == wall:
        return late
    early = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            early = middle
        else:
            late = middle
    return late


def _last_day(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def _numbered(number: int) -> DayOfMonth:
    return lambda year, month: min(number, _last_day(year, month))


def _nth_weekday(ordinal: int, weekday: int) -> DayOfMonth:
    def day(year: int, month: int) -> int:
        if ordinal == ORDINALS.index("last"):
            last = _last_day(year, month)
            return last - (calendar.weekday(year, month, last) - weekday) % 7
        return 1 + (weekday - calendar.weekday(year, month, 1)) % 7 + 7 * ordinal

    return day


def _each_day(first: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in count())


def _each_week(weekday: int, first: date) -> Iterator[date]:
    return (first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * number) for number in count())


def _each_month(day: DayOfMonth, months: Container[int], first: date) -> Iterator[date]:
    for number in count(first.year * 12 + first.month - 1):
        year, month = number // 12, number % 12 + 1
        if month in months and (found := date(year, month, day(year, month))) >= first:
            yield found


def _read_daily(words: list[str]) -> Days | None:
    return _each_day if not words else None


def _read_weekly(words: list[str]) -> Days | None:
    match words:
        case [weekday] if weekday in WEEKDAYS:
            return partial(_each_week, WEEKDAYS.index(weekday))
    return None


def _read_monthly(words: list[str]) -> Days | None:
    day = _read_day_of_month(words)
    return partial(_each_month, day, range(1, 13)) if day else None


def _read_quarterly(words: list[str]) -> Days | None:
    day = _read_day_of_month(words)
    return partial(_each_month, day, QUARTERS) if day else None


def _read_yearly(words: list[str]) -> Days | None:
    match words:
        case [month, *rest] if month in MONTHS and (day := _read_day_of_month(rest)):
            return partial(_each_month, day, (MONTHS.index(month) + 1,))
    return None


def _read_day_of_month(words: list[str]) -> DayOfMonth | None:
    match words:
        case ["last"]:
            return _numbered(31)
        case [number] if _DAY.fullmatch(number):
            return _numbered(int(number))
        case [ordinal, weekday] if ordinal in ORDINALS and weekday in WEEKDAYS:
            return _nth_weekday(ORDINALS.index(ordinal), WEEKDAYS.index(weekday))
    return None


_READERS: dict[str, tuple[Callable[[list[str]], Days | None], str]] = {
    "daily": (_read_daily, '"02:00"'),
    "weekly": (_read_weekly, '"sunday 02:00"'),
    "monthly": (_read_monthly, '"15 02:00", "last 02:00" or "first sunday 02:00"'),
    "quarterly": (_read_quarterly, '"15 02:00", "last 02:00" or "first sunday 02:00"'),
    "yearly": (_read_yearly, '"january 1 02:00" or "april last friday 02:00"'),
}


def _read(kind: str, text: str) -> tuple[Days, time]:
    """The days and the time of day that `text` means. Raises OptionError, saying what was expected."""
    read, examples = _READERS[kind]
    *words, clock = text.lower().split() or [""]
    days = read(words)
    match = _TIME.fullmatch(clock)
    if days is None or match is None:
        raise OptionError(kind, f'expected a time such as {examples}, found "{text}"')
    return days, time(int(match[1]), int(match[2]))
