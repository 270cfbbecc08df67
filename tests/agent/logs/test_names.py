"""Which files are a log and its rotated pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.logs.names import base, family, is_compressed


@pytest.mark.parametrize(
    ("name", "log"),
    [
        (b"app.log.1", b"app.log"),
        (b"app.log.12", b"app.log"),
        (b"app.log.2.gz", b"app.log"),
        (b"app.log-20260131", b"app.log"),
        (b"app.log-20260131-1769850000.zst", b"app.log"),
        (b"app-2026-01-31.log", b"app.log"),
        (b"app.1.log", b"app.log"),
        (b"app.log.2026-01-31T10:00:00+01:00", b"app.log"),
        (b"app.log.old", b"app.log"),
        (b"messages.1", b"messages"),
        (b"caf\xe9.log.1", b"caf\xe9.log"),
        (b"app.log", None),
        (b"app-error.log", None),
        (b"app.log.gz", None),
        (b"1", None),
        (b".1", None),
    ],
)
def test_a_rotated_name_tells_its_log(name: bytes, log: bytes | None) -> None:
    """As logrotate, Python's handlers and people name them."""
    assert base(name) == log


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        (b"app.log", b"app.log", b"app.log"),
        (b"app.log.1", b"app.log", b"app.log"),
        (b"app.log.1.gz", b"app.log", b"app.log"),
        (b"app.log.gz", b"app.log", b"app.log"),
        (b"app.log.1", b"*.log", b"app.log"),
        (b"other.log", b"app.log", None),
        (b"app.log.1", b"app.log.?", b"app.log.1"),
        (b"app.log.1.gz", b"*", b"app.log"),
        (b"archive.gz", b"*.gz", None),
        (b".hidden", b"*", None),
        (b".hidden", b".h*", b".hidden"),
    ],
)
def test_a_pattern_means_a_log_and_its_pieces(name: bytes, pattern: bytes, expected: bytes | None) -> None:
    """What is compressed belongs to a log, and is none itself."""
    assert family(name, pattern) == expected


@given(st.binary(), st.binary())
def test_any_names_are_told(name: bytes, pattern: bytes) -> None:
    """A family is never a compressed file that has no log, and is shorter than what was rotated."""
    found = family(name, pattern)
    rotated = base(name)
    assert rotated is None or len(rotated) < len(name)
    assert found is None or found == name or rotated == found or is_compressed(name)
