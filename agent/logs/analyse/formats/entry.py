"""What a line of a log says (pure)."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One line, read."""

    time: float | None
    """Seconds since the epoch; None where it says none."""
    severity: int | None
    """0 to 7 as syslog has it; None where it says none, so that words of the message tell."""
    program: bytes
    """Who said it; empty where it does not say."""
    message: bytes


CONTINUED = Entry(None, None, b"", b"")
"""A line that goes on with the one before."""
