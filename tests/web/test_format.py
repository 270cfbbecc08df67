"""How figures and times read."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.api.shapes import Highlight
from collector.web.format import amount, figure_label, figure_value, iso, plain, took


@given(st.floats())
def test_any_time_can_be_shown(time: float) -> None:
    """Hosts' clocks may say anything."""
    assert iso(time).endswith("Z")
    assert plain(time).endswith(" UTC")


def test_times_are_utc() -> None:
    """The browser makes them local."""
    assert (iso(0), plain(1_800_000_000)) == ("1970-01-01T00:00:00Z", "2027-01-15 08:00:00 UTC")
    assert iso(math.nan) == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.0123, "12 ms"), (0.34, "0.34 s"), (4.21, "4.2 s"), (42.4, "42 s"), (725, "12m5s")],
)
def test_how_long_something_took(seconds: float, text: str) -> None:
    """Two digits tell it."""
    assert took(seconds) == text


def test_amounts_agree_with_their_noun() -> None:
    """One host, two hosts."""
    assert (amount(1, "host"), amount(2500, "host")) == ("1 host", "2,500 hosts")


def test_a_disks_figure_is_its_share_and_then_its_mount() -> None:
    """A long mount may be cut, the share may not."""
    disk = Highlight(key="disk", state="ok", value=90.6, text="/srv/a b 91 %", message="")
    assert (figure_value(disk), figure_label(disk)) == ("91 %", "/srv/a b")
    failed = Highlight(key="services", state="ok", value=0, text="0 failed", message="")
    assert (figure_value(failed), figure_label(failed)) == ("0 failed", "")
