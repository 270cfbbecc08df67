"""What the files are that PostgreSQL archives, by their names and first bytes. Pure.

The layout is PostgreSQL's own (src/include/access/xlog_internal.h): the first page of a segment has a long header, in
the byte order of the machine, with the system identifier at byte 24 and the size of segments at byte 32.
"""

from __future__ import annotations

import re
import struct
from enum import Enum
from typing import NamedTuple

from backup.select.wal_names import is_size

HEADER = 40
"""Bytes of a segment that `read_header` needs."""
CONTROL = 8
"""Bytes of `global/pg_control` that `read_control` needs."""

_NAMES = re.compile(r"(?P<segment>[0-9A-F]{24})(?P<more>\.partial|\.[0-9A-F]{8}\.backup)?|[0-9A-F]{8}\.history")
_LONG = struct.Struct("=HHIQI4xQII")
_IS_LONG = 0x0002


class Kind(Enum):
    """What a file is by its name."""

    SEGMENT = "segment"
    PARTIAL = "partial"
    """The last segment of a timeline that was left in it; recovery does not ask for it."""
    BACKUP = "backup"
    """What pg_backup_stop says of a base backup."""
    HISTORY = "history"
    """Where a timeline began."""


class Header(NamedTuple):
    """The begin of a segment."""

    system: int
    timeline: int
    size: int
    """Bytes of the segment."""


def kind_of(name: str) -> Kind | None:
    """None for what PostgreSQL does not archive."""
    match = _NAMES.fullmatch(name)
    if match is None:
        return None
    if match["segment"] is None:
        return Kind.HISTORY
    more = match["more"]
    if more is None:
        return Kind.SEGMENT
    return Kind.PARTIAL if more == ".partial" else Kind.BACKUP


def read_header(data: bytes) -> Header | None:
    """Of the first `HEADER` bytes; None where they begin no segment."""
    if len(data) < HEADER:
        return None
    magic, info, timeline, _, _, system, size, page = _LONG.unpack_from(data)
    if not magic or not info & _IS_LONG or not is_size(size) or not page:
        return None
    return Header(system, timeline, size)


def read_control(data: bytes) -> int:
    """The system identifier, of the first `CONTROL` bytes of `global/pg_control`. Raises ValueError."""
    if len(data) < CONTROL:
        raise ValueError("the control file of a PostgreSQL cluster")
    return int(struct.unpack_from("=Q", data)[0])
