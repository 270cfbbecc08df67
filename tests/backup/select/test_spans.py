"""Spans of the calendar."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.format.gotime import Moment, from_datetime
from backup.select.spans import Span
from kit.errors import UsageError

BERLIN = ZoneInfo("Europe/Berlin")


@given(st.builds(Span, *[st.integers(0, 999_999)] * 4).filter(bool))
def test_text_round_trip(span: Span) -> None:
    """What is shown of a span is read as the same."""
    assert Span.parse(str(span)) == span


def test_texts() -> None:
    """Units may come in any order."""
    assert Span.parse("1y5m7d2h") == Span(1, 5, 7, 2)
    assert Span.parse("2h10d") == Span(days=10, hours=2)
    assert not Span.parse("0d")


@pytest.mark.parametrize("text", ["", "5", "d", "1d2d", "-1d", "1w", "1.5d", "1d ", "1D", "9999999d", "٣d", "1d\n"])
def test_no_texts(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(UsageError, match="is no span of time: expected years, months"):
        Span.parse(text)


@given(st.text(st.sampled_from("0159ymdhw- ٣"), max_size=12))
def test_any_text(text: str) -> None:
    """Whatever is written, it is read or refused."""
    try:
        assert all(amount >= 0 for amount in Span.parse(text))
    except UsageError as error:
        assert text in str(error)


@pytest.mark.parametrize(
    ("end", "span", "zone", "start"),
    [
        ("2024-05-06T10:00:00+00:00", Span(1, 2, 3, 4), UTC, "2023-03-03T06:00:00+00:00"),
        ("2024-03-31T10:00:00+00:00", Span(months=1), UTC, "2024-03-02T10:00:00+00:00"),
        ("2024-02-29T10:00:00+00:00", Span(years=1), UTC, "2023-03-01T10:00:00+00:00"),
        # Days are the wall clock's where the clock is the host's, but hours are hours.
        ("2024-04-01T10:00:00+02:00", Span(days=2), BERLIN, "2024-03-30T10:00:00+01:00"),
        ("2024-04-01T10:00:00+02:00", Span(days=2), UTC, "2024-03-30T10:00:00+02:00"),
        ("2024-04-01T10:00:00+02:00", Span(hours=48), BERLIN, "2024-03-30T09:00:00+01:00"),
    ],
)
def test_where_a_span_begins(end: str, span: Span, zone: tzinfo, start: str) -> None:
    """Days that a month lacks run over into the next one."""
    began = span.before(from_datetime(datetime.fromisoformat(end)), zone)
    assert began == from_datetime(datetime.fromisoformat(start)).nanoseconds


@given(
    st.builds(Span, *[st.integers(0, 999_999)] * 4),
    st.builds(Moment, st.integers(-(10**21), 10**21), st.integers(-86340, 86340)),
    st.sampled_from([UTC, BERLIN]),
)
def test_any_span_before_any_time(span: Span, moment: Moment, zone: tzinfo) -> None:
    """A span that begins before the year 1 has no beginning."""
    assert span.before(moment, zone) <= moment.nanoseconds + 3 * 86_400 * 10**9
