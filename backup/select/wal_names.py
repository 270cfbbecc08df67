"""Names and numbers of PostgreSQL's WAL, and the tags by which snapshots say what they have of it.

A segment's name is 24 hexadecimal digits: its timeline, and its number, of which the lower half counts to 4 GiB
(PostgreSQL, src/include/access/xlog_internal.h). A place in the WAL (LSN) is bytes since the cluster's beginning,
written as `16/B374D848`. A cluster is known by its system identifier.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MARK = "postgresql-wal"
"""The tag of every snapshot of WAL."""
BASE_MARK = "postgresql-base"
"""The tag of every snapshot of a base backup."""

_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_BASE = re.compile(r"base-(\d{1,20})-(\d{1,10})-([0-9A-F/]{3,17})-([0-9A-F/]{3,17})-(\d{1,20})")
_WAL = re.compile(r"wal-(\d{1,20})-(\d{1,4})MiB-([0-9A-F]{24})-([0-9A-F]{24})-until-(\d{1,12})")
_BRANCH = re.compile(r"branch-(\d{1,20})-(\d{1,10})-from-(\d{1,10})-at-([0-9A-F/]{3,17})")
_MIB = 2**20
_MOST = 2**20
"""Segments of one snapshot: more files than a run ever saves. Who follows WAL goes through their numbers."""


class Base(NamedTuple):
    """What a base backup is of."""

    system: int
    timeline: int
    start: int
    """The place in the WAL from which recovery reads."""
    stop: int
    """The first place at which what is recovered is consistent."""
    next_xid: int
    """Transactions from this one on had no id yet when it was done; with the epoch, 64 bits."""

    def tag(self) -> str:
        return f"base-{self.system}-{self.timeline}-{lsn(self.start)}-{lsn(self.stop)}-{self.next_xid}"


class Span(NamedTuple):
    """Segments of one timeline that follow on each other."""

    system: int
    size: int
    """Bytes of a segment."""
    timeline: int
    first: int
    """Number of the first segment."""
    last: int
    until: int
    """When the last of them was last written to, in seconds since 1970: all that is in them was done before."""

    def tag(self) -> str:
        first, last = (segment_name(self.timeline, each, self.size) for each in (self.first, self.last))
        return f"wal-{self.system}-{self.size // _MIB}MiB-{first}-{last}-until-{self.until}"


class Branch(NamedTuple):
    """Where a timeline left another."""

    system: int
    timeline: int
    parent: int
    at: int
    """The place in the WAL up to which the parent's counts."""

    def tag(self) -> str:
        return f"branch-{self.system}-{self.timeline}-from-{self.parent}-at-{lsn(self.at)}"


def lsn(place: int) -> str:
    """As PostgreSQL writes it."""
    return f"{place >> 32:X}/{place & 0xFFFFFFFF:X}"


def parse_lsn(text: str) -> int:
    """The reverse. Raises ValueError with what was expected."""
    if (match := _LSN.fullmatch(text)) is None:
        raise ValueError("a place in the WAL, as 16/B374D848")
    return int(match[1], 16) << 32 | int(match[2], 16)


def segment_name(timeline: int, number: int, size: int) -> str:
    """The name of a segment of `size` bytes."""
    each = 2**32 // size
    return f"{timeline:08X}{number // each:08X}{number % each:08X}"


def parse_segment(name: str, size: int) -> tuple[int, int]:
    """(timeline, number). Raises ValueError for what is no name of a segment."""
    if _SEGMENT.fullmatch(name) is None:
        raise ValueError("the name of a segment of WAL, as 000000010000000000000003")
    return int(name[:8], 16), int(name[8:16], 16) * (2**32 // size) + int(name[16:], 16)


def parse_tag(tag: str) -> Base | Span | Branch | None:
    """What a tag says; None for tags of others."""
    try:
        if match := _BASE.fullmatch(tag):
            return Base(int(match[1]), int(match[2]), parse_lsn(match[3]), parse_lsn(match[4]), int(match[5]))
        if match := _WAL.fullmatch(tag):
            size = int(match[2]) * _MIB
            if not is_size(size):
                return None
            (timeline, first), (other, last) = parse_segment(match[3], size), parse_segment(match[4], size)
            if timeline != other or not 0 <= last - first < _MOST:
                return None
            return Span(int(match[1]), size, timeline, first, last, int(match[5]))
        if match := _BRANCH.fullmatch(tag):
            return Branch(int(match[1]), int(match[2]), int(match[3]), parse_lsn(match[4]))
    except ValueError:
        return None
    return None


def is_size(size: int) -> bool:
    """Whether segments can have this size: a power of two from 1 MiB to 1 GiB (initdb --wal-segsize)."""
    return _MIB <= size <= 1024 * _MIB and size & (size - 1) == 0
