"""Which snapshots to keep: the rules of `restic forget`, with its reasons.

The calendar by which a snapshot is hourly, daily, weekly (ISO 8601), monthly or yearly is that of the clock that its
own time was read from, not that of whoever forgets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import NamedTuple

from backup.errors import RepositoryError
from backup.format.gotime import Moment
from backup.format.snapshot import Snapshot
from backup.select.snapshots import Grouping, GroupKey, Tags, group_snapshots, has_tags, newest_first
from backup.select.spans import NO_SPAN, Span
from backup.select.wal import is_wal, needless
from kit.errors import UsageError

UNLIMITED = -1

_COUNT = re.compile(r"[0-9]{1,9}")
_BEGINNING = Moment(-62_135_596_800 * 10**9)
"""The first of January of the year 1 in UTC: Go's time before any other."""

_Period = Callable[[datetime, int], object]
_PERIODS: dict[str, _Period] = {
    "last": lambda time, number: number,
    "hourly": lambda time, number: (time.date(), time.hour),
    "daily": lambda time, number: time.date(),
    "weekly": lambda time, number: time.isocalendar()[:2],
    "monthly": lambda time, number: (time.year, time.month),
    "yearly": lambda time, number: time.year,
}
"""What a snapshot must not share with the one that was kept before it."""
_CALENDAR = [name for name in _PERIODS if name != "last"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What to keep of a group of snapshots: what any of the rules keeps."""

    last: int = 0
    """So many; UNLIMITED is all. The same for the next five, of each only the last one of its hour, day, …"""
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: Span = NO_SPAN
    """All that are younger than this, counted from the newest one that is not in the future."""
    within_hourly: Span = NO_SPAN
    within_daily: Span = NO_SPAN
    within_weekly: Span = NO_SPAN
    within_monthly: Span = NO_SPAN
    within_yearly: Span = NO_SPAN
    tags: tuple[Tags, ...] = ()
    """All that have all tags of one of the lists."""

    def __bool__(self) -> bool:
        """Whether it has any rule."""
        return self != Policy()

    def __str__(self) -> str:
        counts = {name: getattr(self, name) for name in _PERIODS}
        spans = {name: getattr(self, f"within_{name}") for name in _CALENDAR}
        rules = [f"{'all' if count == UNLIMITED else count} {name}" for name, count in counts.items() if count]
        rules += [f"{name} within {span}" for name, span in spans.items() if span]
        rules += [f"all within {self.within}"] if self.within else []
        rules += [f"all with tags {_listed(tags)}" for tags in self.tags]
        return "keep " + (", ".join(rules) or "nothing")


class Decision(NamedTuple):
    """What becomes of a snapshot."""

    snapshot: Snapshot
    keep: bool
    reasons: list[str]
    """Why it is kept, as restic words it (`matches` in its JSON); empty for one that is removed."""


class GroupDecision(NamedTuple):
    """What becomes of the snapshots of a group, the newest first."""

    key: GroupKey
    decisions: list[Decision]

    @property
    def kept(self) -> list[Snapshot]:
        return [decision.snapshot for decision in self.decisions if decision.keep]

    @property
    def removed(self) -> list[Snapshot]:
        return [decision.snapshot for decision in self.decisions if not decision.keep]


def parse_count(text: str) -> int:
    """A number of snapshots to keep, or `unlimited`. Raises UsageError."""
    if text == "unlimited":
        return UNLIMITED
    if _COUNT.fullmatch(text) is None:
        raise UsageError(f'"{text}" is no number of snapshots: expected one as "7", or "unlimited"')
    return int(text)


def decide(
    snapshots: Iterable[Snapshot],
    policy: Policy,
    by: Grouping,
    *,
    now: int,
    local: tzinfo,
    may_remove_all: bool = False,
    everything: Iterable[Snapshot] = (),
) -> list[GroupDecision]:
    """What becomes of each snapshot, by groups. `everything` are all snapshots of the repository, also those that are
    not up for decision: by them WAL is judged (select/wal.py), which stays where they are not known.

    Raises, before anything is done, UsageError where the policy is empty, unless `may_remove_all` says that all go,
    and RepositoryError where it would remove all snapshots of a group, which a mistaken rule does.
    """
    if not policy and not may_remove_all:
        raise UsageError("nothing says what to keep, so no snapshot is removed: expected a rule as --keep-last 5")
    groups = [
        GroupDecision(group.key, apply_policy(group.snapshots, policy, now=now, local=local))
        for group in group_snapshots(snapshots, by)
    ]
    removed = {each.id for group in groups for each in group.removed}
    without_use = {each.id for each in needless([each for each in everything if each.id not in removed])}
    for group in groups:
        if policy and not group.kept:
            raise RepositoryError(f"no rule keeps any snapshot of a group ({group.key}), so no snapshot is removed")
    return [
        GroupDecision(
            key, [Decision(each.snapshot, False, []) if each.snapshot.id in without_use else each for each in of]
        )
        for key, of in groups
    ]


def apply_policy(snapshots: Iterable[Snapshot], policy: Policy, *, now: int, local: tzinfo) -> list[Decision]:
    """What becomes of the snapshots of one group, the newest first.

    `now` is in nanoseconds since 1970; `local` is the zone of the host, by whose calendar spans reach back from times
    that have its offset. A rule that counts and is not used up also keeps the oldest snapshot, and so does a rule of
    one an hour, day, … whose span holds it. WAL counts for no rule, and stays where there is any: see select/wal.py.
    """
    snapshots = list(snapshots)
    wal = [each for each in snapshots if policy and is_wal(each)]
    ordered = newest_first(each for each in snapshots if not (policy and is_wal(each)))
    # The newest one that is not in the future, by the first of those of one time.
    latest = next((each.moment for each in ordered if each.time_ns < now), _BEGINNING)
    left = {name: getattr(policy, name) for name in _PERIODS}
    spans: dict[str, Span] = {name: getattr(policy, f"within_{name}") for name in _CALENDAR}
    since = {name: span.before(latest, local) for name, span in spans.items() if span}
    within_since = policy.within.before(latest, local)
    last_counted: dict[str, object] = {}
    last_within: dict[str, object] = {}
    decisions = []
    for number, snapshot in enumerate(ordered):
        oldest = number == len(ordered) - 1
        time = snapshot.time
        reasons = [f"has tags {_listed(tags)}" for tags in policy.tags if has_tags(snapshot, tags)]
        if policy.within and snapshot.time_ns > within_since:
            reasons.append(f"within {policy.within}")
        for name, period in _PERIODS.items():
            if left[name]:
                current = period(time, number)
                new = current != last_counted.get(name)
                if new or oldest:
                    last_counted[name] = current
                    left[name] -= left[name] > 0
                    reasons.append(f"{name} snapshot" if new else f"oldest {name} snapshot")
        for name, start in since.items():
            if snapshot.time_ns > start:
                current = _PERIODS[name](time, number)
                new = current != last_within.get(name)
                if new or oldest:
                    last_within[name] = current
                    reasons.append(f"{name if new else f'oldest {name}'} within {spans[name]}")
        decisions.append(Decision(snapshot, bool(reasons), reasons))
    if not wal:
        return decisions
    return sorted(
        [*decisions, *(Decision(each, True, ["WAL"]) for each in wal)],
        key=lambda each: (-each.snapshot.time_ns, each.snapshot.id),
    )


def _listed(tags: Tags) -> str:
    return "[" + ", ".join(tags) + "]"
