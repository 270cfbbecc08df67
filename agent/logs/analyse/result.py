"""What an analysis says, as `--json` prints it; docs/logs.md describes it. Times are seconds since the epoch."""

from __future__ import annotations

from collections import Counter

import msgspec

from agent.logs.analyse import logins, severity
from agent.logs.analyse.agents import family
from agent.logs.analyse.heavy import Heavy
from agent.logs.analyse.severity import Level
from agent.logs.analyse.summary import Access, Messages, Summary

MOST_NEW = 100
"""New shapes that are listed."""


class Counted(msgspec.Struct, frozen=True):
    """How often something came: `count` to `count` + the `missed` of its list."""

    name: str
    count: int


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """What came most often, the most frequent first."""

    top: list[Counted]
    missed: int = 0
    """By how much a count may be too low; 0: all are exact."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Messages that differ only in numbers, addresses, quoted text and the like."""

    shape: str
    count: int
    severity: Level
    """The worst of them."""
    first: float | None
    last: float | None
    """None where the log has no times."""
    example: str


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Logins that failed from one address."""

    address: str
    """`local` where somebody was at the host."""
    attempts: int
    names: list[Counted]
    """That were tried, the most frequent ones."""
    first: float | None
    last: float | None


class Hour(msgspec.Struct, frozen=True):
    """What came in an hour."""

    start: int
    lines: int
    errors: int
    """Of these, errors and worse, and requests with a status of 500 or more."""


class Slow(msgspec.Struct, frozen=True, kw_only=True):
    """How long the requests of a path took, in seconds."""

    path: str
    requests: int
    mean: float
    longest: float
    total: float


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """What access logs say."""

    requests: int
    bytes: int
    classes: dict[str, int]
    """`2xx` to requests."""
    statuses: dict[str, int]
    paths: Ranking
    sent: Ranking
    """Bytes by path."""
    failed: Ranking
    """Requests with a status of 400 or more, by path."""
    addresses: Ranking
    agents: Ranking
    """By family."""
    user_agents: Ranking
    """As they are."""
    slowest: list[Slow]
    """By their mean; empty where the log does not say how long requests took."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What was read."""

    name: str
    """A path, `journal`, `journal: UNIT` or `-`."""
    files: int
    """0 for what is no file."""
    lines: int


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    since: float | None
    until: float | None
    """What was asked for."""
    first: float | None
    last: float | None
    """What was found."""
    sources: list[Source]
    errors: list[str]
    """What could not be read, or only in part."""
    lines: int
    earlier: int
    later: int
    """Lines outside of the time that was asked for."""
    untimed: int
    """Lines without a time, which are counted."""
    continued: int
    """Lines that go on with the one before, which are not."""
    unread: int
    """Lines of access logs that are no requests."""
    cut: int
    """Lines that were too long and were read in part."""
    hours: list[Hour]
    severities: dict[Level, int]
    shapes: list[Shape]
    shapes_missed: int
    """By how much their counts may be too low."""
    new_shapes: list[Shape] | None
    """Those that had not come before; None where there is nothing to compare with."""
    new_since: float | None
    failed_logins: int
    logins: list[Login]
    access: Requests | None


def ranking(heavy: Heavy, number: int) -> Ranking:
    """The most frequent of a count."""
    return Ranking(top=[Counted(text(key), count) for key, count in heavy.top(number)], missed=heavy.missed)


def text(raw: bytes) -> str:
    """Bytes of a log as text."""
    return raw.decode("utf-8", "replace")


def moment(seconds: float) -> float | None:
    """A time of a Span."""
    return seconds or None


def shape(messages: Messages, key: bytes, count: int) -> Shape:
    """A shape with what is known of it."""
    about = messages.about[key]
    return Shape(
        shape=text(key),
        count=count,
        severity=severity.NAMES[about.severity],
        first=moment(about.span.first),
        last=moment(about.span.last),
        example=text(about.example),
    )


def shapes(messages: Messages, number: int) -> list[Shape]:
    """The most frequent ones."""
    return [shape(messages, key, count) for key, count in messages.shapes.top(number)]


def failed_logins(messages: Messages) -> tuple[int, list[Login]]:
    """How many there were, and from where, the busiest address first."""
    found = [
        Login(
            address=text(address),
            attempts=logins.total(tried.ways),
            names=[Counted(text(name), count) for name, count in tried.names.top(5)],
            first=moment(tried.span.first),
            last=moment(tried.span.last),
        )
        for address, tried in messages.tried.items()
    ]
    return sum(each.attempts for each in found), sorted(found, key=lambda each: (-each.attempts, each.address))


def hours(summary: Summary) -> list[Hour]:
    """In their order; those without a line are left out."""
    bad = summary.bad_hours.counts
    return sorted(
        (Hour(int(key), count, min(bad.get(key, 0), count)) for key, count in summary.hours.counts.items()),
        key=lambda hour: hour.start,
    )


def requests(access: Access, number: int) -> Requests | None:
    """What access logs say, None where none was read."""
    if not access.requests:
        return None
    statuses = {text(status): count for status, count in sorted(access.statuses.counts.items())}
    classes: Counter[str] = Counter()
    for status, count in statuses.items():
        classes[f"{status[:1]}xx"] += count
    families: Counter[str] = Counter()
    for agent, count in access.agents.counts.items():
        families[family(agent)] += count
    ordered = sorted(families.items(), key=lambda item: (-item[1], item[0]))[:number]
    return Requests(
        requests=access.requests,
        bytes=access.size,
        classes=dict(sorted(classes.items())),
        statuses=statuses,
        paths=ranking(access.paths, number),
        sent=ranking(access.sent, number),
        failed=ranking(access.failed, number),
        addresses=ranking(access.addresses, number),
        agents=Ranking(top=[Counted(*item) for item in ordered], missed=access.agents.missed),
        user_agents=ranking(access.agents, number),
        slowest=_slowest(access, number),
    )


def _slowest(access: Access, number: int) -> list[Slow]:
    found = [
        Slow(
            path=text(path),
            requests=access.took[path].count,
            mean=round(total / access.took[path].count / 1e6, 6),
            longest=access.took[path].longest / 1e6,
            total=total / 1e6,
        )
        for path, total in access.taken.counts.items()
        if path in access.took
    ]
    return sorted(found, key=lambda slow: (-slow.mean, slow.path))[:number]


def severities(counts: list[int]) -> dict[Level, int]:
    """By name, the worst first."""
    return dict(zip(severity.NAMES, counts, strict=True))
