"""When transactions ended, in WAL, for which there is no other list. Pure.

A record of a commit, or of an abort, begins its data with the time (PostgreSQL, src/include/access/xact.h,
xl_xact_commit; src/include/access/xlogrecord.h). It is by these alone that recovery knows a time.
"""

from __future__ import annotations

import re
import struct

from agent.backups.wal.points import content_of

# The end of a record's header: xl_info (COMMIT, ABORT, either of a prepared one; XLOG_XACT_HAS_INFO), xl_rmid
# (RM_XACT_ID), padding, xl_crc; then an origin, a topmost transaction, the length of the data, and the time.
_END = re.compile(
    rb"[\x00\x20\x30\x40\x80\xa0\xb0\xc0]\x01\x00\x00.{4}(?:\xfd.{2})?(?:\xfc.{4})?(?:\xff.|\xfe.{4})(.{8})",
    re.DOTALL,
)
_BEFORE = struct.Struct("=I12x")
"""xl_tot_len, and the header up to xl_info."""
_TIME = struct.Struct("=q")
_SINCE_1970 = 946_684_800 * 10**6
"""Microseconds from 1970 to the begin of PostgreSQL's time, 2000-01-01."""
_DAY = 86400 * 10**6


def ends_behind(segment: bytes, moment: int, until: int) -> bool:
    """Whether a transaction ends in a segment, with all of its record, later than `moment` (in nanoseconds since
    1970). `until` is when the segment was written to last, in seconds: a time much later is no time.
    """
    after, last = moment // 1000 - _SINCE_1970, until * 10**6 - _SINCE_1970 + _DAY
    content = content_of(segment)
    for match in _END.finditer(content):
        begin = match.start() - _BEFORE.size
        if begin < 0 or begin + _BEFORE.unpack_from(content, begin)[0] > len(content):
            continue
        if after < _TIME.unpack(match[1])[0] <= last:
            return True
    return False
