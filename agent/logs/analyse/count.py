"""Counting lines into a summary (pure)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from agent.logs.analyse import logins, severity
from agent.logs.analyse.formats.access import Dialect
from agent.logs.analyse.formats.entry import CONTINUED, Entry
from agent.logs.analyse.heavy import Heavy
from agent.logs.analyse.shape import LONGEST, fold
from agent.logs.analyse.summary import EXAMPLE, NAMES_TRIED, About, Access, Messages, Span, Summary, Took, Tried
from agent.logs.analyse.times import Clock

KEY = 240
"""Bytes of the name of a path, an agent or an address that are kept."""


class Window(NamedTuple):
    """The time that is summed up, in seconds since the epoch: from `since` up to, and without, `until`."""

    since: float = float("-inf")
    until: float = float("inf")


def digest(shape: bytes) -> int:
    """What a shape is known by where many are remembered."""
    return int.from_bytes(blake2b(shape, digest_size=8).digest(), "big") >> 1


def count_access(chunk: bytes, dialect: Dialect, clock: Clock, window: Window, summary: Summary) -> None:
    """Count complete lines of an access log."""
    columns, others = dialect.columns(chunk)
    summary.unread += len(others)
    summary.lines += len(others)
    _, times, *_ = columns
    if not times:
        return
    seconds = Counter(times)
    moments = {text: clock.clf(text) for text in seconds}
    within = {text for text, moment in moments.items() if moment is None or window.since <= moment < window.until}
    known = [moment for moment in moments.values() if moment is not None]
    if known:
        earliest = min(known)
        summary.earliest = min(summary.earliest, earliest) if summary.earliest else earliest
    if len(within) < len(moments):
        for text, number in seconds.items():
            if text not in within:
                if (moments[text] or 0.0) < window.since:
                    summary.earlier += number
                else:
                    summary.later += number
        if not within:
            return
        rows = [row for row in zip(*columns, strict=True) if row[1] in within]
        columns = list(zip(*rows, strict=True))
        seconds = Counter({text: seconds[text] for text in within})
    _count_seconds(seconds, moments, clock, summary)
    _count_requests(columns, moments, clock, summary)


def _count_seconds(
    seconds: Mapping[bytes, int], moments: Mapping[bytes, float | None], clock: Clock, summary: Summary
) -> None:
    hours: defaultdict[bytes, int] = defaultdict(int)
    for text, count in seconds.items():
        moment = moments[text]
        if moment is None:
            summary.untimed += count
        else:
            summary.span.add(moment, moment)
            hours[b"%d" % clock.hour(moment)] += count
    summary.hours.update(hours.items())


def _count_requests(
    columns: Sequence[Sequence[bytes]],
    moments: Mapping[bytes, float | None],
    clock: Clock,
    summary: Summary,
) -> None:
    addresses, times, paths, statuses, sizes, agents, *took = columns
    access = summary.access
    summary.lines += len(times)
    access.requests += len(times)
    addresses, paths, agents = _bounded(addresses), _bounded(paths), _bounded(agents)
    access.statuses.add(statuses)
    access.addresses.add(addresses)
    access.agents.add(agents)
    access.paths.add(paths)
    weights = _numbers(sizes)
    access.size += sum(weights)
    access.sent.weigh(paths, weights)
    failed = [row for row in zip(statuses, paths, times, strict=True) if row[0] >= b"400"]
    if failed:
        access.failed.add([path for _, path, _ in failed])
        bad = Counter([time for status, _, time in failed if status >= b"500"])
        _count_bad_hours(bad, moments, clock, summary)
    if took:
        _count_times(paths, took[0], took[1], access)


def _count_bad_hours(
    bad: Mapping[bytes, int], moments: Mapping[bytes, float | None], clock: Clock, summary: Summary
) -> None:
    summary.bad_hours.update(
        [(b"%d" % clock.hour(moment), count) for text, count in bad.items() if (moment := moments[text]) is not None]
    )


def _count_times(
    paths: Sequence[bytes], seconds: Sequence[bytes], microseconds: Sequence[bytes], access: Access
) -> None:
    sums: defaultdict[bytes, int] = defaultdict(int)
    known = access.took
    for path, second, micro in zip(paths, seconds, microseconds, strict=True):
        if second:
            value = int(float(second[:20]) * 1e6)
        elif micro:
            value = int(micro[:15])
        else:
            continue
        sums[path] += value
        took = known.get(path)
        if took is None:
            took = known[path] = Took()
        took.count += 1
        if value > took.longest:
            took.longest = value
    access.taken.update(sums.items())


def _numbers(texts: Sequence[bytes]) -> list[int]:
    try:
        return list(map(int, texts))
    except ValueError:
        return [int(text[:18]) if text.isdigit() else 0 for text in texts]


def _bounded(names: Sequence[bytes]) -> Sequence[bytes]:
    return names if max(map(len, names)) <= KEY else [name[:KEY] for name in names]


def count_messages(
    lines: Iterable[bytes],
    entry: Callable[[bytes, Clock], Entry],
    clock: Clock,
    window: Window,
    summary: Summary,
) -> None:
    """Count lines of any other log."""
    entries = []
    earlier = []
    hours: defaultdict[bytes, int] = defaultdict(int)
    earliest = summary.earliest or float("inf")
    for line in lines:
        if not line:
            continue
        read = entry(line, clock)
        if read is CONTINUED:
            summary.continued += 1
            continue
        time = read.time
        if time is None:
            summary.untimed += 1
        else:
            earliest = min(earliest, time)
            if time >= window.until:
                summary.later += 1
                continue
            if time < window.since:
                earlier.append(read)
                continue
            summary.span.add(time, time)
            hours[b"%d" % clock.hour(time)] += 1
        entries.append(read)
    if earliest != float("inf"):
        summary.earliest = earliest
    summary.lines += len(entries)
    summary.earlier += len(earlier)
    summary.hours.update(hours.items())
    if earlier:
        summary.messages.before |= {digest(shape) for shape in set(_shapes(earlier))}
    _count_entries(entries, clock, summary)


def _shapes(entries: Sequence[Entry]) -> list[bytes]:
    folded = fold([entry.message for entry in entries])
    return [
        b"%b: %b" % (entry.program, shape[:KEY]) if entry.program else shape[:KEY]
        for entry, shape in zip(entries, folded, strict=True)
    ]


def _count_entries(entries: Sequence[Entry], clock: Clock, summary: Summary) -> None:
    messages = summary.messages
    about, severities = messages.about, messages.severities
    counts: defaultdict[bytes, int] = defaultdict(int)
    bad: defaultdict[bytes, int] = defaultdict(int)
    for (time, level, program, message), shape in zip(entries, _shapes(entries), strict=True):
        if level is None:
            level = severity.of_text(message[:LONGEST])
        severities[level] += 1
        counts[shape] += 1
        if level <= severity.ERROR and time is not None:
            bad[b"%d" % clock.hour(time)] += 1
        known = about.get(shape)
        if known is None:
            about[shape] = About(level, Span(time or 0.0, time or 0.0), message[:EXAMPLE])
        else:
            if level < known.severity:
                known.severity = level
            if time is not None:
                if time < known.span.first:
                    known.example = message[:EXAMPLE]
                known.span.add(time, time)
        tried = logins.attempt(program, message)
        if tried is not None:
            _count_attempt(tried, time, messages)
    messages.shapes.update(counts.items())
    summary.bad_hours.update(bad.items())


def _count_attempt(attempt: logins.Attempt, time: float | None, messages: Messages) -> None:
    messages.logins.update([(attempt.address, attempt.attempts)])
    known = messages.tried.get(attempt.address)
    if known is None:
        known = messages.tried[attempt.address] = Tried({}, Heavy(NAMES_TRIED), Span())
    known.ways[attempt.way] = known.ways.get(attempt.way, 0) + attempt.attempts
    if attempt.user:
        known.names.update([(attempt.user, attempt.attempts)])
        known.names.settle()
    if time is not None:
        known.span.add(time, time)
