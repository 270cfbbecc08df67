"""Any other log: a time at the beginning of the line where there is one, and the words of the line (pure)."""

from __future__ import annotations

import re

from agent.logs.analyse.formats.entry import CONTINUED, Entry
from agent.logs.analyse.times import ISO, Clock, of_number

_DATED = re.compile(rb"\[?" + ISO + rb"\]?[ ,:-]*(.*)", re.S)
_EPOCH = re.compile(rb"\[?(\d{10}(?:\.\d{1,9})?|\d{13})\]?[ ,:-]+(.*)", re.S)
_INDENTED = (b" ", b"\t", b"}", b")")


def entry(line: bytes, clock: Clock) -> Entry:
    """Any line. One that is indented goes on with the one before."""
    match = _DATED.match(line)
    if match is not None:
        return Entry(clock.iso_parts(match[1], match[2], match[3], match[4]), None, b"", match[5])
    match = _EPOCH.match(line)
    if match is not None:
        return Entry(of_number(float(match[1])), None, b"", match[2])
    return CONTINUED if line.startswith(_INDENTED) else Entry(None, None, b"", line)
