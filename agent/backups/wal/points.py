"""Where restore points are in WAL, for which there is no other list. Pure.

A record of a restore point holds its time and its name (PostgreSQL, src/include/access/xlog_internal.h,
xl_restore_point). Records go on from one page to the next, so what is searched is the segment without the headers of
its pages.
"""

from __future__ import annotations

import re
import struct

MAX_NAME = 63
"""Bytes of the name of a restore point."""
KEPT = 128
"""Bytes of the next segment that are searched too: more than a record of a restore point has."""

_PAGE = 8192
_SHORT, _LONG = 24, 40
# xl_tot_len, xl_xid, xl_prev, xl_info (XLOG_RESTORE_POINT), xl_rmid (RM_XLOG_ID), padding, xl_crc, then the header
# of the record's data (XLR_BLOCK_ID_DATA_SHORT, its length), and the time, in front of the name.
_BEFORE = rb"\x62\x00\x00\x00.{12}\x70\x00.{2}.{4}\xff\x48.{8}"
_PAGE_SIZE = struct.Struct("=I")


def content_of(segment: bytes) -> bytes:
    """A segment without its pages' headers."""
    size = _page_size(segment)
    pieces = [segment[_LONG:size]]
    pieces += [segment[start + _SHORT : start + size] for start in range(size, len(segment), size)]
    return b"".join(pieces)


def find_point(segment: bytes, after: bytes, begin: int, name: str) -> int | None:
    """The place in the WAL behind the last restore point of this name that begins in a segment; None without one.

    `begin` is where the segment begins; `after` is the content of the one after it, of which `KEPT` bytes do.
    """
    wanted, content = name.encode(), content_of(segment)
    pattern = re.compile(_BEFORE + re.escape(wanted) + rb"\x00", re.DOTALL)
    matches = [match for match in pattern.finditer(content + after[:KEPT]) if match.start() < len(content)]
    if not matches:
        return None
    end = matches[-1].end() - len(wanted) - 1 + MAX_NAME + 1
    if end > len(content):
        return begin + len(segment) + _LONG + end - len(content)
    return begin + _place(end, _page_size(segment))


def _place(offset: int, size: int) -> int:
    """Where in a segment a byte of its content is, or rather the one before it ends."""
    if offset <= size - _LONG:
        return _LONG + offset
    pages, rest = divmod(offset - (size - _LONG), size - _SHORT)
    return size * (1 + pages) + (_SHORT + rest if rest else 0)


def _page_size(segment: bytes) -> int:
    (size,) = _PAGE_SIZE.unpack_from(segment, 36)
    return int(size) or _PAGE
