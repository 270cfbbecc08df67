"""Times as logs write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.logs.analyse.times import Clock, of_number

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC).timestamp()
BERLIN = ZoneInfo("Europe/Berlin")


def at(*parts: int, zone: object = UTC) -> float:
    return datetime(*parts, tzinfo=zone).timestamp()  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"2026-11-22T14:17:29+01:00", at(2026, 11, 22, 13, 17, 29)),
        (b"2026-11-22T14:17:29.250Z", at(2026, 11, 22, 14, 17, 29) + 0.25),
        (b"2026-11-22 14:17:29,500", at(2026, 11, 22, 13, 17, 29) + 0.5),
        (b"2026/11/22 14:17:29 [error]", at(2026, 11, 22, 13, 17, 29)),
        (b"2026-07-01 14:17:29", at(2026, 7, 1, 12, 17, 29)),
        (b"2026-11-22 14:17:29 UTC", at(2026, 11, 22, 14, 17, 29)),
        (b"2026-11-22T14:17:29-0530", at(2026, 11, 22, 19, 47, 29)),
        (b"2026-13-22T14:17:29Z", None),
        (b"2026-11-22", None),
    ],
)
def test_iso(text: bytes, expected: float | None) -> None:
    """With and without a zone: then it is the host's."""
    assert Clock(BERLIN, NOW).iso(text) == expected


def test_access_logs() -> None:
    clock = Clock(BERLIN, NOW)
    assert clock.clf(b"22/Nov/2026:14:17:29 +0100") == at(2026, 11, 22, 13, 17, 29)
    assert clock.clf(b"31/Feb/2026:14:17:29 +0100") is None
    assert clock.clf(b"22/Foo/2026:14:17:29 +0100") is None


@pytest.mark.parametrize(
    ("text", "written", "expected"),
    [
        (b"Nov 22 13:59:59", NOW, at(2026, 11, 22, 13, 59, 59)),
        (b"Dec  1 00:00:00", NOW, at(2025, 12, 1)),
        (b"Dec 31 23:59:59", at(2027, 1, 1, 0, 5), at(2026, 12, 31, 23, 59, 59)),
        (b"Nov 23 09:00:00", NOW, at(2026, 11, 23, 9)),
        (b"Feb 29 12:00:00", NOW, at(2024, 2, 29, 12)),
        (b"Feb 30 12:00:00", NOW, None),
        (b"Nov 22 13:59:59.5 2020", NOW, at(2020, 11, 22, 13, 59, 59) + 0.5),
    ],
)
def test_a_missing_year_is_the_last_that_can_be(text: bytes, written: float, expected: float | None) -> None:
    """A log cannot tell of more than a day after it was written to."""
    assert Clock(UTC, written).syslog(text) == expected


def test_hours_begin_as_clocks_show_them() -> None:
    """Also where a zone is half an hour off."""
    clock = Clock(timezone(timedelta(hours=5, minutes=30)), NOW)
    assert clock.hour(at(2026, 11, 22, 12, 45)) == at(2026, 11, 22, 12, 30)
    assert Clock(UTC, NOW).hour(at(2026, 11, 22, 12, 45)) == at(2026, 11, 22, 12)


def test_numbers_of_any_unit() -> None:
    assert [of_number(NOW * factor) for factor in (1, 1000, 10**6, 10**9)] == [NOW] * 4
    assert of_number(5) is None
    assert of_number(float("nan")) is None


@settings(max_examples=60)
@given(st.binary(max_size=40) | st.from_regex(rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d( \d{4})?", fullmatch=True))
def test_anything_is_a_time_or_none(text: bytes) -> None:
    clock = Clock(BERLIN, NOW)
    for read in (clock.clf, clock.iso, clock.syslog):
        assert isinstance(read(text), float | None)
