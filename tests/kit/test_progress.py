"""How far work is, without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.progress import Speed, Status, bar, clock, progress_line


def test_a_steady_speed_is_told_from_the_first_moment() -> None:
    """The beginning is no slow time."""
    speed = Speed(100.0)
    assert (speed.rate, speed.left(1000)) == (0.0, None)
    for second in range(1, 20):
        speed.update(10 * second, 100.0 + second)
        assert speed.rate == pytest.approx(10)
        assert speed.left(1000) == pytest.approx((1000 - 10 * second) / 10)
    assert speed.elapsed == 19


def test_speed_follows_what_changes() -> None:
    """After a while only the new speed counts."""
    speed = Speed(0.0)
    for second in range(1, 11):
        speed.update(100 * second, second)
    for second in range(11, 61):
        speed.update(1000 + (second - 10), second)
    assert speed.rate == pytest.approx(1, rel=0.02)


def test_the_line_has_all_where_there_is_room() -> None:
    """Time, share, bar, sizes, speed, time left, count, and what is worked on."""
    speed = Speed(0.0)
    speed.update(512 * 2**20, 8.0)
    status = Status(512 * 2**20, 2**30, "12 files", "/etc/hosts")
    assert progress_line(status, speed, 120) == (
        "0:08  50 % [===================>                    ]"
        "  512MiB of 1GiB, 64MiB/s, 0:08 left, 12 files  /etc/hosts"
    )
    assert (
        progress_line(status, speed, 70) == "0:08  50 % [====>      ]  512MiB of 1GiB, 64MiB/s, 0:08 left, 12 files"
    )
    assert progress_line(status, speed, 30) == "0:08  50 %  512MiB of 1GiB, 6…"


def test_what_nobody_knows_is_not_shown() -> None:
    """Neither share nor time left without a total."""
    speed = Speed(0.0)
    assert progress_line(Status(0, None), speed, 80) == "0:00  0B"
    speed.update(2048, 2.0)
    assert progress_line(Status(2048, None, "3 files"), speed, 80) == "0:02  2KiB, 1KiB/s, 3 files"


def test_things_are_counted_too() -> None:
    """Not only bytes."""
    speed = Speed(0.0)
    speed.update(1500, 1.0)
    assert "1,500 of 3,000, 1,500/s, 0:01 left" in progress_line(Status(1500, 3000, is_bytes=False), speed, 100)


@given(
    done=st.integers(0, 2**60),
    total=st.none() | st.integers(0, 2**60),
    passed=st.floats(0, 1e7),
    width=st.integers(0, 200),
    words=st.text(max_size=30),
)
def test_the_line_never_is_wider_than_the_terminal(
    done: int, total: int | None, passed: float, width: int, words: str
) -> None:
    """Whatever the figures."""
    speed = Speed(0.0)
    speed.update(done, passed)
    assert len(progress_line(Status(done, total, words), speed, width)) <= max(width, 1)


def test_a_bar_is_full_only_at_the_end() -> None:
    """And empty at the beginning."""
    assert [bar(share, 4) for share in (0.0, 0.3, 0.5, 0.99, 1.0)] == ["    ", ">   ", "=>  ", "==> ", "===="]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.9, "0:59"), (3599, "59:59"), (3723, "1:02:03"), (1e12, "99:59:59")]
)
def test_times_are_short(seconds: float, shown: str) -> None:
    """Hours only where there are any."""
    assert clock(seconds) == shown
