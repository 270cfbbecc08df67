"""What a rotation must not forget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deploys.rules.logstate import lost, parse_state

TEXT = """\
logrotate state -- version 2
"/var/log/a b.log" 2026-11-23-1:2:3
"/var/log/c" 2025-3-4-0:0:0
"/var/log/d" 2026-11-1
something else
"""


def test_the_state_is_read_line_by_line() -> None:
    """And what is of another form is left out."""
    assert parse_state(TEXT) == {
        "/var/log/a b.log": (2026, 11, 23, 1, 2, 3),
        "/var/log/c": (2025, 3, 4, 0, 0, 0),
        "/var/log/d": (2026, 11, 1, 0, 0, 0),
    }


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """It is a file of the host's."""
    assert isinstance(parse_state(text), dict)


def test_what_is_gone_or_older_is_lost() -> None:
    """But for logs that nobody has seen for most of a year, which logrotate forgets by itself."""
    before = parse_state(TEXT)
    assert lost(before, before, "2026-11-23") == []
    after = {"/var/log/a b.log": (2026, 11, 22, 1, 2, 3)}
    assert lost(before, after, "2026-11-23") == ["/var/log/a b.log", "/var/log/d"]
