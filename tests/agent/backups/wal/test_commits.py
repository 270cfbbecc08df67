"""Where in WAL a transaction ends behind a moment. That PostgreSQL writes such records test_recovery.py shows."""

from __future__ import annotations

import struct

import pytest

from agent.backups.wal.commits import ends_behind

PAGE = 8192
MOMENT, SINCE = 1_700_000_000, 946_684_800
COMMIT, PREPARE, ABORT, HAS_INFO = 0x00, 0x10, 0x20, 0x80


def record(seconds: float, info: int = COMMIT, *, manager: int = 1, before: bytes = b"", length: int = 0) -> bytes:
    """A transaction that ends so many seconds behind the moment."""
    data = before + b"\xff\x08" + struct.pack("=q", int((MOMENT + seconds - SINCE) * 10**6))
    return struct.pack("=IIQBBxxI", length or 24 + len(data), 700, 0, info, manager, 0xABCD) + data


def segment(content: bytes, at: int = 1000) -> bytes:
    """Two pages with their headers; `at` is the place of the content among what is no header."""
    room = 2 * PAGE - 40 - 24
    filled = (bytes(at) + content).ljust(room, b"\0")[:room]
    long = struct.pack("=HHIQI4xQII", 0xD110, 2, 1, 0, 0, 5, 2 * PAGE, PAGE)
    return long + filled[: PAGE - 40] + bytes(24) + filled[PAGE - 40 :]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (record(1), True),
        (record(0.000_001, ABORT | HAS_INFO), True),
        (record(1, before=b"\xfd\x01\x00\xfc\x01\x02\x03\x04"), True),
        (record(-1) + record(1), True),
        (record(0), False),
        (record(-1), False),
        (record(1, PREPARE), False),
        (record(1, manager=2), False),
        (record(1, length=PAGE * 2), False),
        (record(400 * 86400), False),
        (b"", False),
    ],
)
def test_a_commit_or_an_abort_shows_the_time(content: bytes, expected: bool) -> None:
    """Of a record that is all there, when the time in it can be one."""
    assert ends_behind(segment(content), MOMENT * 10**9, MOMENT + 60) is expected


def test_a_record_goes_on_behind_the_header_of_a_page() -> None:
    """Wherever it is cut, but not where it goes on in the next segment."""
    last = PAGE - 40
    for at in range(last - 40, last + 1, 8):
        assert ends_behind(segment(record(1), at), MOMENT * 10**9, MOMENT + 60)
    end = 2 * PAGE - 40 - 24
    assert not ends_behind(segment(record(1, length=64), end - 40), MOMENT * 10**9, MOMENT + 60)
