"""Access logs: common and combined, as nginx and Apache write them, with more behind them (pure).

Of what follows, a number with a fraction is taken for seconds (nginx's `$request_time`), a whole number at the end of
the line for microseconds (Apache's `%D`).

A chunk of lines is read by one expression at once. It is fast because its strings go up to the next quote, whatever
stands before; where that is not certain to be right, lines are read again, one by one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_HOST = rb"(?:\S+ )"
_FAST = rb'(\S+) \S+ \S+ \[(.{26})\] "\S+ ([^ ?"]*)[ ?][^"]*" (\d\d\d) (\d+|-)(?: "[^"]*" "([^"]*)"%b)?.*$|^(.+)$'
_TOOK = rb'(?:(?: "[^"]*")? (?:[^\s"]*=)?"?([0-9]+\.[0-9]+)(?![0-9.])| ([0-9]+)$)?'
_STRICT = (
    rb'(\S+) \S+ [^\[\n]*?\[([^\]\n]+)\] "((?:[^"\\]|\\.)*+)" (\d{3}) (\d+|-)'
    rb'(?: "(?:[^"\\]|\\.)*+" "((?:[^"\\]|\\.)*+)")?'
    rb'(?:(?: "(?:[^"\\]|\\.)*+")? (?:[^\s"]*=)?"?([0-9]+\.[0-9]+)(?![0-9.])| ([0-9]+)$)?'
)
_ONE, _HOSTED_ONE = re.compile(_STRICT), re.compile(_HOST + _STRICT)
_LINE = re.compile(rb'(\S+) \S+ [^\[\n]*?\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "')
_HOSTED = re.compile(rb"\S+ \S+ \S+ \S+ \[\d\d/[A-Z]")
"""Lines of Apache's `vhost_combined`, which begin with the name of a virtual host."""
_REQUEST = re.compile(rb"(?:[A-Za-z]{1,32} )?([^ ?]*)")
LONGEST = 16384
"""Bytes of a line that are read."""


class Request(NamedTuple):
    """Columns of a request."""

    address: bytes
    time: bytes
    path: bytes
    """Without the query."""
    status: bytes
    size: bytes
    """Digits, or `-` or nothing."""
    agent: bytes
    took: bytes
    """Seconds with a fraction, or nothing."""
    took_micro: bytes
    """Microseconds, or nothing."""


class Dialect:
    """The expression that fits a log: what no line of a sample has is not looked for."""

    def __init__(self, sample: Sequence[bytes]) -> None:
        self._hosted = 2 * sum(_HOSTED.match(line) is not None for line in sample) > len(sample)
        rows = [row for line in sample if (row := strict(line, hosted=self._hosted)) is not None]
        self.timed = any(row.took or row.took_micro for row in rows)
        """Whether requests say how long they took: else the last two columns are left out."""
        self._width = len(Request._fields) if self.timed else len(Request._fields) - 2
        before = _HOST if self._hosted else b""
        self._fast = re.compile(b"^" + before + _FAST % (_TOOK if self.timed else b""), re.M)

    def columns(self, chunk: bytes) -> tuple[list[tuple[bytes, ...]], list[bytes]]:
        """The columns of the requests in complete lines (`Request`), and the lines that are no requests."""
        width = self._width
        odd: Sequence[bytes] = ()
        rows: list[tuple[bytes, ...]] = [] if b'\\"' in chunk else self._fast.findall(chunk)
        # A string that is not closed takes in the lines that follow, of which there are then too few.
        if len(rows) == chunk.count(b"\n") + 1:
            columns: list[tuple[bytes, ...]] = list(zip(*rows, strict=True))
            odd = columns.pop()
            if not any(odd):
                return columns, []
            rows = [row[:width] for row in rows if not row[-1]]
        else:
            rows, odd = [], chunk.split(b"\n")
        others = []
        for line in filter(None, odd):
            read = strict(line, hosted=self._hosted)
            if read is None:
                others.append(line)
            else:
                rows.append(read[:width])
        return list(zip(*rows, strict=True)) if rows else [()] * width, others


def strict(line: bytes, *, hosted: bool = False) -> Request | None:
    """One line, with all that quotes may hold; None where it is no request. `hosted`: a virtual host comes first."""
    match = (_HOSTED_ONE if hosted else _ONE).match(line[:LONGEST])
    if match is None:
        return None
    address, time, asked, status, size, agent, took, took_micro = match.groups(b"")
    path = _REQUEST.match(asked)
    return Request(address, time, path[1] if path else asked, status, size, agent, took, took_micro)


def fits(line: bytes) -> bool:
    """Whether a line looks like one of an access log."""
    return _LINE.match(line[:LONGEST]) is not None
