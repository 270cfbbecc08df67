"""What of a spool is saved next, and how the snapshot is marked. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from backup.select.wal_names import Span, parse_segment

FOLDER = "/postgresql-wal"
"""Where WAL is in snapshots: `FOLDER/SYSTEM-IDENTIFIER/NAME`."""

_NANO = 10**9


class Segment(NamedTuple):
    """A segment that waits."""

    system: int
    name: str
    size: int
    """Bytes of it, and so of all of its cluster."""
    mtime_ns: int


def is_due(arrived: Sequence[float], *, count: int, within: float, now: float) -> bool:
    """Whether what waits is to be saved: there are `count` files, or one waits for longer than `within` seconds.

    A file from the future (the clock was set back) waits for too long.
    """
    return len(arrived) >= count or any(not 0 <= now - each < within for each in arrived)


def spans(segments: Iterable[Segment]) -> list[Span]:
    """The runs of segments that follow on each other, by cluster and timeline."""
    found: list[Span] = []
    known = sorted((each.system, each.size, *parse_segment(each.name, each.size), each.mtime_ns) for each in segments)
    for system, size, timeline, number, mtime_ns in known:
        until = mtime_ns // _NANO
        last = found[-1] if found else None
        if last is not None and (last.system, last.size, last.timeline, last.last + 1) == (
            system,
            size,
            timeline,
            number,
        ):
            found[-1] = last._replace(last=number, until=max(last.until, until))
        else:
            found.append(Span(system, size, timeline, number, number, until))
    return found
