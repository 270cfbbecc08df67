"""Syslog: RFC 3164 as it is written to files, with the time of either RFC, and RFC 5424 (pure)."""

from __future__ import annotations

import re

from agent.logs.analyse.formats.entry import Entry
from agent.logs.analyse.times import ISO, Clock

_PRIORITY = rb"(?:<(\d{1,3})>)?"
_TAG = rb"([^\s:\[]{1,64})(?:\[[^\]\s]{0,32}\])?: ?"
_TRADITIONAL = re.compile(
    _PRIORITY + rb"([A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2}(?:\.\d{1,9})?) (?:(?:\S{1,255} )?" + _TAG + rb")?(.*)",
    re.S,
)
# A program's own log may have a level and a module in the places of a host and a tag.
_NO_LEVEL = rb"(?!\W?(?i:trace|debug|info|notice|warn|warning|err|error|crit|critical|fatal|panic)\b)"
_MODERN = re.compile(_PRIORITY + ISO + rb" ?" + _NO_LEVEL + rb"\S{1,255} " + _TAG + rb"(.*)", re.S)
_FULL = re.compile(
    rb"<(\d{1,3})>1 (?:-|" + ISO + rb") \S{1,255} (\S{1,48}) \S{1,128} \S{1,32}"
    rb" (?:-|(?:\[(?:[^\]\"\\]|\\.|\"(?:[^\"\\]|\\.)*+\")*+\])++)(?: (?:\xef\xbb\xbf)?(.*))?",
    re.S,
)
_UPTIME = re.compile(rb"\[ *\d+\.\d+\] ")


def entry(line: bytes, clock: Clock) -> Entry | None:
    """One line; None where it is none of syslog's."""
    match = _TRADITIONAL.match(line)
    if match is not None:
        return _entry(match[1], clock.syslog(match[2]), match[3], match[4])
    match = _MODERN.match(line)
    if match is not None:
        return _entry(match[1], clock.iso_parts(match[2], match[3], match[4], match[5]), match[6], match[7])
    match = _FULL.match(line)
    if match is not None:
        time = clock.iso_parts(match[2], match[3], match[4], match[5]) if match[2] else None
        return _entry(match[1], time, b"" if match[6] == b"-" else match[6], match[7])
    return None


def _entry(priority: bytes | None, time: float | None, program: bytes | None, message: bytes | None) -> Entry | None:
    level = None if priority is None else int(priority) & 7
    said = message or b""
    if program == b"kernel":
        said = _UPTIME.sub(b"", said, count=1)
    return Entry(time, level, program or b"", said)
