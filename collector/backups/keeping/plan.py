"""What is removed and what stays, and why. Pure: the snapshots, the policy and the clock are given.

The policy's hours, days and weeks are those of the receipt at home, on home's calendar. So no host can hurry them,
and a snapshot that is flagged takes no place in them: what is odd goes neither itself nor makes another go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from backup.format.gotime import Moment
from backup.format.snapshot import Snapshot
from backup.select.policy import Policy, apply_policy
from backup.select.wal import needless
from backup.select.wal_names import Base, parse_tag
from collector.backups.keeping.facts import Facts, Group
from kit.units import format_duration

_NANO = 10**9
BASE_TAKES = 86_400.0
"""Seconds that a base backup may have taken before it was received: it needs the WAL of that time too."""


class Rules(NamedTuple):
    """What the administrator decided for a repository."""

    keep: Policy
    """An empty one removes nothing."""
    newest: int
    """So many of each group are kept whatever else holds: the last that were received and are not flagged."""
    hold: float
    """Seconds that everything is kept after its receipt."""


class Decision(NamedTuple):
    """What becomes of a snapshot."""

    snapshot: Facts
    keep: bool
    reasons: tuple[str, ...]
    """Why it is kept, or why it goes."""


class GroupPlan(NamedTuple):
    """What becomes of the snapshots of a group, the last received first."""

    group: Group
    decisions: list[Decision]
    stopped: str
    """Why nothing of it is removed for now, whatever the decisions say; '' where nothing stops it."""

    @property
    def removed(self) -> list[Decision]:
        """What goes now."""
        return [] if self.stopped else [decision for decision in self.decisions if not decision.keep]


def plan(
    snapshots: Iterable[Facts], rules: Rules, stopped: Mapping[Group, str], *, now: float, zone: tzinfo
) -> list[GroupPlan]:
    """Decide for every group by itself. `stopped` has the groups with alerts that nobody has acknowledged."""
    groups: dict[Group, list[Facts]] = {}
    for snapshot in snapshots:
        groups.setdefault(snapshot.group, []).append(snapshot)
    plans = [
        GroupPlan(group, _decide(groups[group], rules, now, zone), stopped.get(group, "")) for group in sorted(groups)
    ]
    _drop_wal(plans, rules, now, zone)
    return plans


def _drop_wal(plans: Sequence[GroupPlan], rules: Rules, now: float, zone: tzinfo) -> None:
    """Decide about WAL by the base backups that stay, whatever group they are of.

    Tags say which WAL leads on from which base backup, and hosts write them. So WAL goes only if it also came long
    before the oldest base backup that stays: whatever a later snapshot says, nothing behind that one is lost.
    """
    staying = [one.snapshot for plan in plans for one in plan.decisions if one.keep or plan.stopped]
    bases = [one.received for one in staying if any(isinstance(parse_tag(tag), Base) for tag in one.tags)]
    if not bases or not rules.keep:
        return
    before = min(min(bases) - BASE_TAKES, now - rules.hold)
    useless = {one.id for one in needless([_as_received(one, zone) for one in staying])}
    for plan in plans:
        for place, one in enumerate(plan.decisions):
            snapshot = one.snapshot
            if snapshot.name in useless and not snapshot.flagged and snapshot.received < before:
                plan.decisions[place] = Decision(snapshot, False, ("no base backup that stays needs this WAL",))


def _decide(snapshots: Sequence[Facts], rules: Rules, now: float, zone: tzinfo) -> list[Decision]:
    ordered = sorted(snapshots, key=lambda one: (-one.received, one.name))
    counted = [one for one in ordered if not one.is_wal and (not one.flags or (one.released and not one.broken))]
    reasons: dict[str, list[str]] = {one.name: [] for one in counted}
    for one in counted[: rules.newest]:
        reasons[one.name].append(f"one of the {rules.newest} newest" if rules.newest > 1 else "the newest")
    if rules.keep:
        for each in apply_policy(
            [_as_received(one, zone) for one in counted], rules.keep, now=_nanoseconds(now) + 1, local=zone
        ):
            reasons[each.snapshot.id] += each.reasons
    decisions = []
    for one in ordered:
        decisions.append(_decision(one, reasons.get(one.name, []), rules, now))
    return decisions


def _decision(one: Facts, reasons: list[str], rules: Rules, now: float) -> Decision:
    if one.flagged:
        return Decision(one, True, tuple(f"flagged: {flag.message}" for flag in one.flags))
    if one.broken:
        return Decision(one, False, ("released, and it never could be restored",))
    if not rules.keep:
        return Decision(one, True, ("no policy says that anything is removed",))
    if one.is_wal:
        return Decision(one, True, ("WAL",))
    if now - one.received < rules.hold:
        reasons = [*reasons, f"received less than {format_duration(rules.hold)} ago"]
    if reasons:
        return Decision(one, True, tuple(reasons))
    return Decision(one, False, (f'no rule of "{rules.keep}" keeps it',))


def _as_received(one: Facts, zone: tzinfo) -> Snapshot:
    """The snapshot as if it had been made when home received it, by home's clock."""
    offset = datetime.fromtimestamp(one.received, zone).utcoffset() or timedelta()
    moment = Moment(_nanoseconds(one.received), int(offset.total_seconds()))
    return Snapshot(moment=moment, tree=None, paths=(), tags=one.tags, id=one.name)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * _NANO)
