"""PostgreSQL's own log, with a `log_line_prefix` that begins with the time, as the default has it (pure)."""

from __future__ import annotations

import re

from agent.logs.analyse import severity
from agent.logs.analyse.formats.entry import CONTINUED, Entry
from agent.logs.analyse.times import Clock

_LINE = re.compile(
    rb"(\d{4}-\d{2}-\d{2} \d{2}:\d{2}):(\d{2})(?:\.(\d{1,6}))?(?: ([A-Z][A-Za-z]{1,5}|[+-]\d{2,4}))? .{0,200}?"
    rb"\b(PANIC|FATAL|ERROR|WARNING|NOTICE|LOG|INFO|DEBUG[1-5]?"
    rb"|DETAIL|HINT|CONTEXT|STATEMENT|QUERY|LOCATION):  ?(.*)",
    re.S,
)
_MORE = frozenset((b"DETAIL", b"HINT", b"CONTEXT", b"STATEMENT", b"QUERY", b"LOCATION"))
_LEVELS = {
    b"PANIC": severity.ALERT,
    b"FATAL": severity.CRITICAL,
    b"ERROR": severity.ERROR,
    b"WARNING": severity.WARNING,
    b"NOTICE": severity.NOTICE,
    b"LOG": severity.INFO,
    b"INFO": severity.INFO,
}
"""As an administrator means them. What PostgreSQL itself tells syslog is one level milder."""
_UNIVERSAL = frozenset((b"UTC", b"GMT", b"Z"))


def entry(line: bytes, clock: Clock) -> Entry | None:
    """One line; None where it is none of PostgreSQL's. Abbreviations of zones other than UTC mean the host's."""
    match = _LINE.match(line)
    if match is None:
        return CONTINUED if line[:1] == b"\t" else None
    if match[5] in _MORE:
        return CONTINUED
    zone = match[4]
    if zone is not None and zone not in _UNIVERSAL and zone[:1] not in b"+-":
        zone = None
    time = clock.iso_parts(match[1], match[2], match[3], zone)
    return Entry(time, _LEVELS.get(match[5], severity.DEBUG), b"postgresql", match[6])
