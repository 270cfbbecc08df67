"""Times as Go prints them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.errors import DamagedError
from backup.format.gotime import Moment, format_moment, from_datetime, parse_moment

FIRST = -62_135_596_800 * 10**9
"""The beginning of the year 1, which Go's zero time is."""
LAST = 253_402_300_800 * 10**9 - 1
"""The last nanosecond of the year 9999."""
MOMENTS = st.builds(
    Moment,
    st.integers(FIRST + 10**14, LAST - 10**14),
    st.integers(-23 * 60, 23 * 60).map(lambda minutes: minutes * 60),
)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (Moment(0), "1970-01-01T00:00:00Z"),
        (Moment(1, 3600), "1970-01-01T01:00:00.000000001+01:00"),
        (Moment(-1), "1969-12-31T23:59:59.999999999Z"),
        (Moment(1_500_000_000, -5400), "1969-12-31T22:30:01.5-01:30"),
        (Moment(FIRST), "0001-01-01T00:00:00Z"),
        (Moment(4_102_444_800_120_000_000), "2100-01-01T00:00:00.12Z"),
        (Moment(240_784_617_600 * 10**9), "9600-02-29T00:00:00Z"),
        (Moment(LAST), "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_a_time_reads_as_go_prints_it(moment: Moment, text: str) -> None:
    """Trailing zeros left out, `Z` for UTC, and years before 1970 too."""
    assert format_moment(moment) == text
    assert parse_moment(text) == moment


@given(MOMENTS)
def test_what_is_printed_reads_back_to_the_nanosecond(moment: Moment) -> None:
    """In every zone of whole minutes."""
    assert parse_moment(format_moment(moment)) == moment


@given(st.integers(-(1 << 70), 1 << 70), st.integers(-1000, 1000))
def test_a_time_that_cannot_be_said_is_said_somehow(nanoseconds: int, minutes: int) -> None:
    """No file's time may stop a backup."""
    parse_moment(format_moment(Moment(nanoseconds, minutes * 60))).datetime()


@given(MOMENTS)
def test_a_datetime_is_the_same_moment_to_the_microsecond(moment: Moment) -> None:
    """Rounded down, in the zone of the moment."""
    time = moment.datetime()
    assert time.utcoffset() == timedelta(seconds=moment.offset)
    assert from_datetime(time) == Moment(moment.nanoseconds // 1000 * 1000, moment.offset)


def test_a_datetime_at_the_edge_of_its_range_is_told_in_utc() -> None:
    """The zone would make it a year that `datetime` has not."""
    assert Moment(FIRST, -3600).datetime() == datetime.min.replace(tzinfo=UTC)
    assert Moment(LAST, 3600).datetime() == datetime.max.replace(tzinfo=UTC)
    assert Moment(0, 3600).datetime() == datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_damaged(text: str) -> None:
    """And nothing else is raised."""
    try:
        parse_moment(text)
    except DamagedError as error:
        assert "no time" in str(error)


@pytest.mark.parametrize(
    "text", ["2026-02-32T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00+24:00", "", "٢"]
)
def test_a_time_that_is_none_is_refused(text: str) -> None:
    """As Go refuses it."""
    with pytest.raises(DamagedError, match="no time"):
        parse_moment(text)
