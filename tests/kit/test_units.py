"""Durations and sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.units import Duration, Size, format_duration, format_roughly, format_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("15s", 15), ("1h30m", 5400), ("7d", 604800), ("1w", 604800), ("1.5h", 5400), ("0s", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is a number of seconds, written in one unit or several."""
    assert Duration.parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "15", "s", "-1s", "1 h", "1h 30m", "15S", "1e3s", "inf", "٣s", "9" * 400 + "s", "1s\n"]
)
def test_no_durations(text: str) -> None:
    """Anything else is refused with what was expected."""
    with pytest.raises(ValueError, match="a duration such as"):
        Duration.parse(text)


@given(st.integers(0, 10**12))
def test_duration_round_trip(milliseconds: int) -> None:
    """The text of a duration is read as the same duration, to the millisecond."""
    duration = Duration(milliseconds / 1000)
    assert Duration.parse(str(duration)) == pytest.approx(duration, abs=0.0005)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (0.9999, "1s"), (59.7, "1m"), (90, "1m30s"), (864000, "10d"), (1209600, "14d")],
)
def test_duration_for_people(seconds: float, text: str) -> None:
    """Rounded to what a person wants to know."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "count"),
    [("0B", 0), ("512KiB", 524288), ("1.5MiB", 1572864), ("2GB", 2 * 10**9), ("10 TiB", 10 * 2**40), ("1kB", 1000)],
)
def test_sizes(text: str, count: int) -> None:
    """A size is a number of bytes; KiB is 1024, kB is 1000."""
    assert Size.parse(text) == count


@pytest.mark.parametrize("text", ["", "10", "10K", "10kb", "-1B", "1  MB", "9" * 400 + "TiB", "1MiB\n", "infB"])
def test_no_sizes(text: str) -> None:
    """Anything else is refused with what was expected."""
    with pytest.raises(ValueError, match="a size such as"):
        Size.parse(text)


@given(st.integers(0, 10**15 - 1))
def test_size_round_trip(count: int) -> None:
    """The text of a size is read as exactly the same size."""
    assert Size.parse(str(Size(count))) == count


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (1023, "1023B"), (1024, "1KiB"), (1536, "1.5KiB"), (2**20 - 1, "1MiB"), (150 * 2**20, "150MiB")],
)
def test_size_for_people(count: float, text: str) -> None:
    """Rounded to what a person wants to know; never 1024 of a unit."""
    assert format_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0.9, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "119m"),
        (7200, "2h"),
        (172799, "47h"),
        (9e5, "10d"),
    ],
)
def test_a_rough_duration(seconds: float, text: str) -> None:
    """One unit, of which there are two at least; never more than there was."""
    assert format_roughly(seconds) == text


@given(st.text())
def test_any_text(text: str) -> None:
    """Parsing text from outside raises ValueError and nothing else."""
    for kind in (Duration, Size):
        try:
            assert kind.parse(text) >= 0
        except ValueError as error:
            assert str(error) == kind.EXPECTED
