"""The error logs of nginx and Apache (pure)."""

from __future__ import annotations

import re

from agent.logs.analyse import severity
from agent.logs.analyse.formats.entry import Entry
from agent.logs.analyse.times import Clock

_NGINX = re.compile(rb"(\d{4}/\d{2}/\d{2} \d{2}:\d{2}):(\d{2}) \[(\w{1,8})\] \d+#\d+: (?:\*\d+ )?(.*)", re.S)
_APACHE = re.compile(
    rb"\[[A-Z][a-z]{2} ([A-Z][a-z]{2} \d{2} \d{2}:\d{2}:\d{2}(?:\.\d{1,6})? \d{4})\] \[(?:\w{0,32}:)?(\w{1,8})\]"
    rb"(?: \[pid [^\]]{0,64}\])?(?: \[client [^\]]{0,64}\])? ?(.*)",
    re.S,
)
_ASKED = re.compile(rb", client: .*", re.S)


def entry(line: bytes, clock: Clock) -> Entry | None:
    """One line; None where it is neither's. What nginx adds of the request is left out."""
    match = _NGINX.match(line)
    if match is not None:
        level = severity.of_name(match[3].decode("latin-1"))
        time = clock.iso_parts(match[1], match[2], None, None)
        return Entry(time, level, b"nginx", _ASKED.sub(b"", match[4], count=1))
    match = _APACHE.match(line)
    if match is not None:
        named = match[2].decode("latin-1")
        level = severity.DEBUG if named.startswith("trace") else severity.of_name(named)
        return Entry(clock.syslog(match[1]), level, b"apache", match[3])
    return None
