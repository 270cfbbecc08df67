"""When things are due."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.timetable import KINDS, MONTHS, ORDINALS, WEEKDAYS, Schedule, last_due, missed, next_due
from kit import zones as zones_of_host
from kit.units import Duration

# "posix/…" and "right/…" are copies; the latter count leap seconds, which no clock of a host does.
ZONES = sorted(name for name in available_timezones() if not name.startswith(("posix", "right", "localtime")))

zones = st.sampled_from(ZONES)
times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
days_of_month = st.one_of(
    st.just("last"),
    st.integers(1, 31).map(str),
    st.builds("{} {}".format, st.sampled_from(ORDINALS), st.sampled_from(WEEKDAYS)),
)
timings = st.one_of(
    st.builds(lambda every: {"every": Duration(every)}, st.floats(1, 366 * 86400)),
    st.builds(lambda at: {"daily": at}, times),
    st.builds(lambda day, at: {"weekly": f"{day} {at}"}, st.sampled_from(WEEKDAYS), times),
    st.builds(lambda day, at: {"monthly": f"{day} {at}"}, days_of_month, times),
    st.builds(lambda day, at: {"quarterly": f"{day} {at}"}, days_of_month, times),
    st.builds(lambda *words: {"yearly": " ".join(words)}, st.sampled_from(MONTHS), days_of_month, times),
)
jitters = st.floats(0, 31 * 86400).map(Duration)
schedules = st.builds(
    lambda timing, zone, jitter: Schedule(**timing, timezone=zone, jitter=jitter), timings, zones, jitters
)
moments = st.floats(63e6, 2145e6).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
"""1972 to 2037: with whole minutes between zones, and before 32 bits end."""


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def dues(schedule: Schedule, start: str, number: int) -> list[str]:
    """The next ones, in the schedule's own zone."""
    moment = utc(start)
    found = []
    for _ in range(number):
        moment = next_due(schedule, moment, host="h")
        found.append(f"{moment.astimezone(ZoneInfo(schedule.timezone)):%a %Y-%m-%d %H:%M}")
    return found


def test_an_interval_is_counted_from_the_epoch() -> None:
    """Every 15 minutes is at each quarter of an hour, whenever the agent was started."""
    schedule = Schedule(every=Duration(900))
    assert next_due(schedule, utc("2026-03-01 10:07:31"), host="h") == utc("2026-03-01 10:15")
    assert next_due(schedule, utc("2026-03-01 10:15"), host="h") == utc("2026-03-01 10:30")


@pytest.mark.parametrize(
    ("timing", "start", "expected"),
    [
        ({"daily": "02:00"}, "2026-02-27 03:00", ["Sat 2026-02-28 02:00", "Sun 2026-03-01 02:00"]),
        ({"weekly": "sunday 02:00"}, "2026-02-22 02:00", ["Sun 2026-03-01 02:00", "Sun 2026-03-08 02:00"]),
        ({"weekly": "Sunday 02:00"}, "2026-02-22 01:59", ["Sun 2026-02-22 02:00", "Sun 2026-03-01 02:00"]),
        ({"monthly": "15 03:30"}, "2026-12-01 00:00", ["Tue 2026-12-15 03:30", "Fri 2027-01-15 03:30"]),
        ({"monthly": "last 23:00"}, "2028-01-31 23:00", ["Tue 2028-02-29 23:00", "Fri 2028-03-31 23:00"]),
        ({"monthly": "first sunday 01:00"}, "2026-02-01 01:00", ["Sun 2026-03-01 01:00", "Sun 2026-04-05 01:00"]),
        ({"monthly": "fourth friday 01:00"}, "2026-05-01 01:00", ["Fri 2026-05-22 01:00", "Fri 2026-06-26 01:00"]),
        ({"monthly": "last friday 01:00"}, "2026-05-01 01:00", ["Fri 2026-05-29 01:00", "Fri 2026-06-26 01:00"]),
        ({"quarterly": "first sunday 01:00"}, "2026-01-05 00:00", ["Sun 2026-04-05 01:00", "Sun 2026-07-05 01:00"]),
        ({"quarterly": "31 01:00"}, "2026-10-31 01:00", ["Sun 2027-01-31 01:00", "Fri 2027-04-30 01:00"]),
        ({"yearly": "january 1 00:00"}, "2026-01-01 00:00", ["Fri 2027-01-01 00:00", "Sat 2028-01-01 00:00"]),
        ({"yearly": "february 29 02:00"}, "2026-03-01 00:00", ["Sun 2027-02-28 02:00", "Tue 2028-02-29 02:00"]),
        ({"yearly": "march last sunday 02:00"}, "2026-01-01 00:00", ["Sun 2026-03-29 02:00", "Sun 2027-03-28 02:00"]),
    ],
)
def test_calendar_times(timing: dict[str, str], start: str, expected: list[str]) -> None:
    """Days, weeks, months and quarters mean what they say."""
    assert dues(Schedule(**timing, timezone="UTC"), start, 2) == expected


def test_a_short_month_has_its_run_on_its_last_day() -> None:
    """31 02:00 runs in every month, once."""
    schedule = Schedule(monthly="31 02:00", timezone="UTC")
    assert dues(schedule, "2028-01-31 02:00", 4) == [
        "Tue 2028-02-29 02:00",
        "Fri 2028-03-31 02:00",
        "Sun 2028-04-30 02:00",
        "Wed 2028-05-31 02:00",
    ]
    assert dues(schedule, "2027-01-31 02:00", 1) == ["Sun 2027-02-28 02:00"]


def test_a_time_that_does_not_exist_comes_right_after_the_gap() -> None:
    """On the night when clocks go from 02:00 to 03:00, 02:30 is at 03:00."""
    schedule = Schedule(daily="02:30", timezone="Europe/Berlin")
    assert dues(schedule, "2026-03-27 12:00", 3) == [
        "Sat 2026-03-28 02:30",
        "Sun 2026-03-29 03:00",
        "Mon 2026-03-30 02:30",
    ]


def test_a_time_that_exists_twice_comes_once() -> None:
    """On the night when clocks go from 03:00 back to 02:00, 02:30 is the first of the two."""
    schedule = Schedule(daily="02:30", timezone="Europe/Berlin")
    assert next_due(schedule, utc("2026-10-24 12:00"), host="h") == utc("2026-10-25 00:30")
    assert next_due(schedule, utc("2026-10-25 00:30"), host="h") == utc("2026-10-26 01:30")


def test_a_day_that_does_not_exist() -> None:
    """Samoa had no 30 December 2011: what was due then is due as the 31st begins."""
    schedule = Schedule(daily="02:30", timezone="Pacific/Apia")
    assert dues(schedule, "2011-12-29 10:00", 3) == [
        "Thu 2011-12-29 02:30",
        "Sat 2011-12-31 00:00",
        "Sat 2011-12-31 02:30",
    ]


@settings(max_examples=40)
@given(zone=zones, at=times, start=moments)
@example(zone="Europe/Berlin", at="02:30", start=datetime(2026, 3, 28, tzinfo=UTC))
@example(zone="Europe/Berlin", at="02:30", start=datetime(2026, 10, 24, tzinfo=UTC))
@example(zone="Australia/Lord_Howe", at="02:10", start=datetime(2026, 10, 2, tzinfo=UTC))
@example(zone="Pacific/Apia", at="05:00", start=datetime(2011, 12, 29, tzinfo=UTC))
@example(zone="America/Scoresbysund", at="23:30", start=datetime(2024, 3, 29, tzinfo=UTC))
def test_a_time_is_due_when_the_clock_first_shows_it(zone: str, at: str, start: datetime) -> None:
    """Watching a clock minute by minute for four days, in any zone, gives the same due times."""
    schedule = Schedule(daily=at, timezone=zone)
    start = start.replace(second=0, microsecond=0)
    clock = [(moment, moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for moment in minutes(start, 4 * 1440)]
    first = clock[0][1]
    wanted = datetime.combine(first.date(), time.fromisoformat(at))
    seen = []
    for moment, wall in clock:
        while wall >= wanted:
            if wanted > first and moment not in seen:
                seen.append(moment)
            wanted += timedelta(days=1)
    found = []
    due = next_due(schedule, start, host="h")
    while due <= clock[-1][0]:
        found.append(due)
        due = next_due(schedule, due, host="h")
    assert found == seen


def minutes(start: datetime, number: int) -> list[datetime]:
    return [start + timedelta(minutes=minute) for minute in range(number)]


@given(schedule=schedules, moment=moments)
def test_next_is_later_and_last_is_not(schedule: Schedule, moment: datetime) -> None:
    """A moment lies between the last due time, which may be that moment, and the next; nothing is between these."""
    last, following = last_due(schedule, moment, host="h"), next_due(schedule, moment, host="h")
    assert last <= moment < following
    assert next_due(schedule, last, host="h") == following
    assert last_due(schedule, following, host="h") == following
    assert last_due(schedule, following - timedelta(microseconds=1), host="h") == last


@settings(max_examples=20)
@given(schedule=schedules, start=moments, data=st.data())
def test_walking_a_year_meets_each_due_time_once(schedule: Schedule, start: datetime, data: st.DataObject) -> None:
    """Who wakes at random times, and asks what is next, skips no due time and meets none twice."""
    end = start + timedelta(days=366)
    chain = [next_due(schedule, start, host="h")]
    while chain[-1] < end and len(chain) < 400:
        chain.append(next_due(schedule, chain[-1], host="h"))
    assert all(earlier < later for earlier, later in pairwise(chain))
    # The walk is on until the chain's end; its steps are up to a little more than the way to the next due time.
    met = []
    now = start
    due = next_due(schedule, now, host="h")
    random = data.draw(st.randoms(use_true_random=False))
    while len(met) < len(chain):
        now += max((due - now) * random.uniform(0.01, 1.2), timedelta(seconds=1))
        while due <= now:
            met.append(due)
            due = next_due(schedule, due, host="h")
        assert due == next_due(schedule, now, host="h")
    assert met[: len(chain)] == chain


@given(timing=timings, jitter=jitters, moment=moments, host=st.text(), job=st.text())
def test_jitter_is_one_delay_within_its_span(
    timing: dict[str, str], jitter: Duration, moment: datetime, host: str, job: str
) -> None:
    """All due times of a job on a host, whatever its schedule, move by one delay that is shorter than the span."""
    yearly = Duration(366 * 86400)
    moved = next_due(Schedule(every=yearly, jitter=jitter), moment, host=host, job=job)
    delay = moved - last_due(Schedule(every=yearly), moved, host=host, job=job)
    assert timedelta(0) <= delay < timedelta(seconds=jitter) or delay == timedelta(0)
    plain, jittered = Schedule(**timing, timezone="UTC"), Schedule(**timing, timezone="UTC", jitter=jitter)
    assert next_due(jittered, moment, host=host, job=job) == next_due(plain, moment - delay, host="other") + delay
    assert last_due(jittered, moment, host=host, job=job) == last_due(plain, moment - delay, host="other") + delay


def test_jitter_spreads_hosts_and_jobs_evenly() -> None:
    """A thousand hosts fall about evenly into ten parts of the span; two jobs of a host do not coincide."""
    schedule = Schedule(daily="02:00", timezone="UTC", jitter=Duration(1000))
    night = utc("2026-03-01 02:00")
    just_before = night - timedelta(seconds=1)
    parts = [0] * 10
    for number in range(1000):
        due = next_due(schedule, just_before, host=f"web-{number}.example.org", job="backup")
        parts[int((due - night).total_seconds() // 100)] += 1
    assert all(60 <= part <= 140 for part in parts)
    one, other = (next_due(schedule, just_before, host="web-1", job=job) for job in ("backup", "dump"))
    assert one != other


def test_missed() -> None:
    """A run was missed when one was due since the last; what never ran is new and missed nothing."""
    schedule = Schedule(daily="02:00", timezone="UTC")
    now = utc("2026-03-02 12:00")
    assert missed(schedule, utc("2026-03-01 02:00"), now, host="h")
    assert missed(schedule, utc("2026-03-02 01:59"), now, host="h")
    assert not missed(schedule, utc("2026-03-02 02:00"), now, host="h")
    assert not missed(schedule, utc("2026-03-03 02:00"), now, host="h")
    assert not missed(schedule, None, now, host="h")


def test_the_host_s_own_zone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a zone the host's own rules: TZ's where it names a zone, else /etc/localtime's, else UTC."""
    schedule = Schedule(daily="02:00")
    noon = utc("2026-07-01 12:00")
    localtime = tmp_path / "localtime"
    monkeypatch.setattr(zones_of_host, "LOCAL_ZONE", localtime)
    monkeypatch.setenv("TZ", ":Asia/Tokyo")
    assert next_due(schedule, noon, host="h") == utc("2026-07-01 17:00")
    monkeypatch.setenv("TZ", "EST5EDT4,M3.2.0,M11.1.0")
    assert next_due(schedule, noon, host="h") == utc("2026-07-02 02:00")
    localtime.write_bytes(b"no time zone")
    assert next_due(schedule, noon, host="h") == utc("2026-07-02 02:00")
    localtime.write_bytes(Path("/usr/share/zoneinfo/Europe/Berlin").read_bytes())
    assert next_due(schedule, noon, host="h") == utc("2026-07-02 00:00")
    monkeypatch.delenv("TZ")
    assert next_due(schedule, noon, host="h") == utc("2026-07-02 00:00")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "expected exactly one of every, daily, weekly, monthly, quarterly and yearly, found none"),
        (
            {"daily": "02:00", "weekly": "sunday 02:00"},
            "expected exactly one of every, daily, weekly, monthly, quarterly and yearly, found daily and weekly",
        ),
        ({"daily": "25:00"}, 'daily: expected a time such as "02:00", found "25:00"'),
        ({"weekly": "02:00"}, 'weekly: expected a time such as "sunday 02:00", found "02:00"'),
        (
            {"monthly": "fifth sunday 02:00"},
            'monthly: expected a time such as "15 02:00", "last 02:00" or "first sunday 02:00", '
            'found "fifth sunday 02:00"',
        ),
        (
            {"daily": "02:00", "timezone": "Europe/Atlantis"},
            'timezone: expected the name of a zone that this host knows, such as "Europe/Berlin", '
            'found "Europe/Atlantis"',
        ),
    ],
)
def test_a_mistake_has_one_clear_sentence(options: dict[str, str], sentence: str) -> None:
    """What was expected and what was found, in decoding as well."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Schedule(**options)
    with pytest.raises(msgspec.ValidationError, match=re.escape(sentence)):
        msgspec.convert(options, Schedule)


@pytest.mark.parametrize(
    "zone", ["../../etc/passwd", "/etc/passwd", "Europe", "\0", "\udcff", "zone.tab", "x" * 5000]
)
def test_a_zone_is_a_name_and_no_path(zone: str) -> None:
    """Whatever the name does to the file system, it is a zone that is not known."""
    with pytest.raises(ValueError, match="timezone: expected"):
        Schedule(daily="02:00", timezone=zone)


@given(kind=st.sampled_from(KINDS[1:]), text=st.text() | st.from_regex(r"[a-z0-9 :]{1,20}", fullmatch=True))
def test_any_text_is_a_schedule_or_a_value_error(kind: str, text: str) -> None:
    """Reading a schedule raises nothing else, and what is read has due times."""
    try:
        schedule = Schedule(**{kind: text}, timezone="UTC")
    except ValueError:
        return
    assert next_due(schedule, utc("2026-01-01 00:00"), host="h") > utc("2026-01-01 00:00")


def test_a_time_without_a_zone_is_refused() -> None:
    """A naive time would silently mean another moment on another host."""
    schedule = Schedule(daily="02:00", timezone="UTC")
    for call in (next_due, last_due):
        with pytest.raises(ValueError, match="a time with a zone"):
            call(schedule, utc("2026-01-01").replace(tzinfo=None), host="h")
