"""What is odd about a snapshot, beside what is usual in its group. Pure.

Usual is a median, and how far from it is far follows from the median of the distances (MAD), so that a few odd runs
move neither (Leys et al., "Detecting outliers", J. Exp. Soc. Psychol. 49, 2013). What is flagged does not become
usual, however often it comes, until an administrator has acknowledged it: what came since then is what counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, tzinfo
from statistics import median
from typing import NamedTuple

from msgspec.structs import replace

from collector.backups.keeping.facts import Facts, Flag, Group
from kit.units import format_duration, format_size

DAY = 86_400.0
CLOCK_TOLERANCE = DAY
"""Seconds that a snapshot may claim to be older or newer than its receipt."""
RUNS = 10
"""Of so many last runs the usual is made."""
FEWEST = 3
"""Fewer tell nothing."""
FAR = 6 * 1.4826
"""MADs from the median that are far: six standard deviations, where values are spread normally."""
SHRUNKEN_SHARE = 0.3
"""A drop by less of the usual is never far."""
BURST_SHARE = 0.25
"""Nor is a change of less of the usual size."""
BURST_LEAST = 1 << 20
"""Nor one of fewer bytes."""
UNSEEN_BURST_TIMES = 3
"""Where home cannot open snapshots: nor one of less than so many times the usual change,"""
UNSEEN_BURST_LEAST = 64 << 20
"""nor of fewer bytes: what an upload takes is all that is known."""
FLOOD_DAYS = 90
"""Days with snapshots that make up how many a day are usual: to make more of them usual takes months."""
FLOOD_UNKNOWN = 50
"""Snapshots in a day that are no flood where less than FEWEST days are known: two an hour."""


class Usual(NamedTuple):
    """What runs of a group have in common."""

    middle: float
    """The median."""
    spread: float
    """The median of the distances from it (MAD)."""

    @classmethod
    def of(cls, values: Iterable[int | None]) -> Usual | None:
        """Of the last runs; None where too few are known."""
        known = [value for value in values if value is not None][-RUNS:]
        if len(known) < FEWEST:
            return None
        middle = median(known)
        return cls(middle, median(abs(value - middle) for value in known))


def judge(
    arrived: Sequence[Facts], before: Sequence[Facts], usual_since: Mapping[Group, float], zone: tzinfo
) -> list[Facts]:
    """Those that arrived, each with its flags, in the order of their receipt.

    `before` has those that were judged already, removed ones too. `usual_since` has the groups of which an alert was
    acknowledged, with the receipt of the first snapshot that it was about: flagged ones count as usual from there on,
    and nothing before does. Days are those of `zone`.
    """
    groups: dict[Group, _Past] = {}
    for snapshot in sorted(before, key=_order):
        _past(groups, snapshot.group, usual_since, zone).add(snapshot)
    judged = []
    for snapshot in sorted(arrived, key=_order):
        past = _past(groups, snapshot.group, usual_since, zone)
        judged.append(replace(snapshot, flags=tuple(_flags(snapshot, past))))
        past.add(judged[-1])
    return judged


def _order(snapshot: Facts) -> tuple[float, str]:
    return snapshot.received, snapshot.name


class _Past:
    """The snapshots of a group so far. What is usual is worked out anew only when it has changed: a host may send any
    number of snapshots, and of a flood none counts."""

    def __init__(self, since: float | None, zone: tzinfo) -> None:
        self._since = since
        self._zone = zone
        self._days: Counter[date] = Counter()
        self._counted: list[Facts] = []
        self._counted_days: Counter[date] = Counter()
        self._usual: dict[str, Usual | None] = {}
        self._limits: dict[date, int] = {}

    def add(self, snapshot: Facts) -> None:
        """One more, later than the others."""
        day = self.day(snapshot)
        self._days[day] += 1
        if snapshot.broken or (snapshot.flagged if self._since is None else snapshot.received < self._since):
            return
        self._counted.append(snapshot)
        self._counted_days[day] += 1
        self._usual.clear()
        self._limits.clear()

    def usual(self, what: str) -> Usual | None:
        """Of a field of Facts."""
        if what not in self._usual:
            self._usual[what] = Usual.of(getattr(one, what) for one in self._counted)
        return self._usual[what]

    def of_day(self, snapshot: Facts) -> tuple[int, int]:
        """How many came before it on its day, and how many may come on it."""
        today = self.day(snapshot)
        if today not in self._limits:
            days = [count for day, count in sorted(self._counted_days.items()) if day != today][-FLOOD_DAYS:]
            self._limits[today] = FLOOD_UNKNOWN if len(days) < FEWEST else 2 * round(median(days)) + 1
        return self._days[today], self._limits[today]

    def day(self, snapshot: Facts) -> date:
        """Of its receipt."""
        return datetime.fromtimestamp(snapshot.received, self._zone).date()


def _past(groups: dict[Group, _Past], group: Group, since: Mapping[Group, float], zone: tzinfo) -> _Past:
    if group not in groups:
        groups[group] = _Past(since.get(group), zone)
    return groups[group]


def _flags(snapshot: Facts, past: _Past) -> Iterable[Flag]:
    if snapshot.problem:
        yield Flag("broken", snapshot.problem)
    if snapshot.unmeasured:
        yield Flag("large", snapshot.unmeasured)
    if snapshot.claimed is not None and abs(snapshot.claimed - snapshot.received) > CLOCK_TOLERANCE:
        late = snapshot.claimed < snapshot.received
        by = format_duration(round(abs(snapshot.claimed - snapshot.received)))
        yield Flag("time", f"it says that it was made {by} {'before' if late else 'after'} it was received")
    if snapshot.is_wal:  # as much and as often as the database writes
        return
    already, limit = past.of_day(snapshot)
    if already >= limit:
        yield Flag("flood", f"it is number {already + 1} of its day, where at most {limit} are expected")
    if snapshot.problem:
        return
    size, files, changed = past.usual("bytes"), past.usual("files"), past.usual("changed")
    if snapshot.bytes is not None and size is not None and _is_shrunken(snapshot.bytes, size):
        yield Flag("shrunken", f"it holds {format_size(snapshot.bytes)}, where {format_size(size.middle)} are usual")
    elif snapshot.files is not None and files is not None and _is_shrunken(snapshot.files, files):
        yield Flag("shrunken", f"it holds {snapshot.files} files, where {files.middle:.0f} are usual")
    if snapshot.changed is not None and changed is not None and _is_burst(snapshot.changed, changed, size):
        new = format_size(snapshot.changed)
        yield Flag("burst", f"{new} of it are new, where {format_size(changed.middle)} are usual")


def _is_shrunken(value: int, usual: Usual) -> bool:
    return usual.middle - value > max(FAR * usual.spread, SHRUNKEN_SHARE * usual.middle)


def _is_burst(changed: int, usual: Usual, size: Usual | None) -> bool:
    if size is None:
        least = max((UNSEEN_BURST_TIMES - 1) * usual.middle, UNSEEN_BURST_LEAST)
    else:
        least = max(BURST_SHARE * size.middle, BURST_LEAST)
    return changed - usual.middle > max(FAR * usual.spread, least)
