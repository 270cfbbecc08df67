"""What is counted of logs, and how two counts become one (pure). All of it is bounded."""

from __future__ import annotations

from collections import Counter

import msgspec

from agent.logs.analyse import severity
from agent.logs.analyse.heavy import Heavy

SHAPES = 4096
NAMES_TRIED = 16
ADDRESSES = 4096
BEFORE = 16384
STATUSES = 1000
AGENTS = 4096
HOURS = 4096
"""How many of each are kept; twice as many while counting (Heavy)."""
EXAMPLE = 300
"""Bytes of a message that is kept as it was."""


class Span(msgspec.Struct, array_like=True):
    """From the first to the last time; 0 where there is none."""

    first: float = 0.0
    last: float = 0.0

    def add(self, first: float, last: float) -> None:
        """Make it hold these too."""
        if not first:
            return
        self.first = min(self.first, first) if self.first else first
        self.last = max(self.last, last)


class About(msgspec.Struct, array_like=True):
    """Of a shape, what is known besides its count."""

    severity: int
    span: Span
    example: bytes
    """The message of the first time."""

    def merge(self, other: About) -> None:
        """Take in what is known of the same shape."""
        self.severity = min(self.severity, other.severity)
        if other.span.first and (not self.span.first or other.span.first < self.span.first):
            self.example = other.example
        self.span.add(other.span.first, other.span.last)


class Tried(msgspec.Struct, array_like=True):
    """Of an address from which logins failed, what is known besides."""

    ways: dict[str, int]
    names: Heavy
    span: Span


class Messages(msgspec.Struct):
    """Of all logs but access logs."""

    severities: list[int] = msgspec.field(default_factory=lambda: [0] * len(severity.NAMES))
    shapes: Heavy = msgspec.field(default_factory=lambda: Heavy(SHAPES))
    about: dict[bytes, About] = {}
    before: set[int] = set()
    """Digests of shapes that came before what is summed up."""
    logins: Heavy = msgspec.field(default_factory=lambda: Heavy(ADDRESSES))
    """Lines that tell of a failed login, by address."""
    tried: dict[bytes, Tried] = {}

    def settle(self) -> None:
        """Keep the bounds."""
        if self.shapes.settle():
            self.about = {key: value for key, value in self.about.items() if key in self.shapes.counts}
        if self.logins.settle():
            self.tried = {key: value for key, value in self.tried.items() if key in self.logins.counts}
        if len(self.before) > 2 * BEFORE:
            self.before = set(sorted(self.before)[:BEFORE])

    def merge(self, other: Messages) -> None:
        """Count what another one counted, of later lines."""
        self.severities = [mine + its for mine, its in zip(self.severities, other.severities, strict=True)]
        for shape, about in other.about.items():
            mine = self.about.setdefault(shape, about)
            if mine is not about:
                mine.merge(about)
        for address, tried in other.tried.items():
            known = self.tried.setdefault(address, tried)
            if known is not tried:
                known.ways = dict(Counter(known.ways) + Counter(tried.ways))
                known.names.merge(tried.names)
                known.span.add(tried.span.first, tried.span.last)
        self.before |= other.before
        self.shapes.merge(other.shapes)
        self.logins.merge(other.logins)
        self.about = {key: value for key, value in self.about.items() if key in self.shapes.counts}
        self.tried = {key: value for key, value in self.tried.items() if key in self.logins.counts}
        self.settle()


class Took(msgspec.Struct, array_like=True):
    """How long requests of a path took, in microseconds."""

    count: int = 0
    longest: int = 0


class Access(msgspec.Struct):
    """Of access logs."""

    requests: int = 0
    size: int = 0
    """Bytes that were sent."""
    statuses: Heavy = msgspec.field(default_factory=lambda: Heavy(STATUSES))
    paths: Heavy = msgspec.field(default_factory=Heavy)
    sent: Heavy = msgspec.field(default_factory=Heavy)
    """Bytes by path."""
    failed: Heavy = msgspec.field(default_factory=lambda: Heavy(AGENTS))
    """Requests that ended with a status of 400 or more, by path."""
    addresses: Heavy = msgspec.field(default_factory=Heavy)
    agents: Heavy = msgspec.field(default_factory=lambda: Heavy(AGENTS))
    taken: Heavy = msgspec.field(default_factory=lambda: Heavy(AGENTS))
    """Microseconds by path."""
    took: dict[bytes, Took] = {}

    def heavies(self) -> tuple[Heavy, ...]:
        """All counts."""
        return self.statuses, self.paths, self.sent, self.failed, self.addresses, self.agents, self.taken

    def settle(self) -> None:
        """Keep the bounds."""
        for heavy in self.heavies():
            heavy.settle()
        if len(self.took) > len(self.taken.counts):
            self.took = {key: value for key, value in self.took.items() if key in self.taken.counts}

    def merge(self, other: Access) -> None:
        """Count what another one counted."""
        self.requests += other.requests
        self.size += other.size
        for path, took in other.took.items():
            known = self.took.setdefault(path, took)
            if known is not took:
                known.count += took.count
                known.longest = max(known.longest, took.longest)
        for mine, its in zip(self.heavies(), other.heavies(), strict=True):
            mine.merge(its)
        self.settle()


class Summary(msgspec.Struct):
    """Of some lines, all that is counted."""

    lines: int = 0
    """Within the time that is asked for."""
    earlier: int = 0
    later: int = 0
    """Lines outside of it."""
    untimed: int = 0
    """Lines without a time, which are counted whatever time is asked for."""
    continued: int = 0
    """Lines that go on with the one before; not among `lines`."""
    unread: int = 0
    """Lines of access logs that are no requests."""
    cut: int = 0
    """Lines that were too long, of which only the beginning was read."""
    span: Span = msgspec.field(default_factory=Span)
    """Of the lines within the time."""
    earliest: float = 0.0
    """Of all lines."""
    hours: Heavy = msgspec.field(default_factory=lambda: Heavy(HOURS))
    """Lines by the hour's beginning, in seconds since the epoch, as text."""
    bad_hours: Heavy = msgspec.field(default_factory=lambda: Heavy(HOURS))
    """Of these, errors and worse, and requests with a status of 500 or more."""
    messages: Messages = msgspec.field(default_factory=Messages)
    access: Access = msgspec.field(default_factory=Access)

    def settle(self) -> None:
        """Keep the bounds."""
        self.hours.settle()
        self.bad_hours.settle()
        self.messages.settle()
        self.access.settle()

    def merge(self, other: Summary) -> None:
        """Count what another one counted, of later lines. It must not be used any more."""
        for name in ("lines", "earlier", "later", "untimed", "continued", "unread", "cut"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.span.add(other.span.first, other.span.last)
        if other.earliest:
            self.earliest = min(self.earliest, other.earliest) if self.earliest else other.earliest
        self.hours.merge(other.hours)
        self.bad_hours.merge(other.bad_hours)
        self.messages.merge(other.messages)
        self.access.merge(other.access)
