"""What somebody should look at, and when it stops removal. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from collector.backups.keeping.facts import Facts, Group

AlertKind = Literal["flood", "shrunken", "burst", "lost", "damaged", "locked", "failed"]
STOPPING: frozenset[AlertKind] = frozenset(("flood", "shrunken", "burst", "lost", "damaged"))
"""While one of these is not acknowledged, nothing is removed of what it is about."""
PASSING: frozenset[AlertKind] = frozenset(("locked", "failed"))
"""These end by themselves when the work succeeds again."""
PATIENCE = 86_400.0
"""Seconds that work may wait for a lock, or fail, before somebody is told."""


class Alert(NamedTuple):
    """One of them."""

    kind: AlertKind
    group: Group | None
    """None: it is about the whole repository."""
    message: str
    since: float
    """The receipt of the first snapshot that it is about, or when it was found."""


def alerts_of(judged: Iterable[Facts]) -> list[Alert]:
    """What the flags of snapshots that arrived give rise to: one of each kind for each group, the first."""
    found: dict[tuple[Group, str], Alert] = {}
    for snapshot in judged:
        for flag in snapshot.flags:
            if flag.kind in ("flood", "shrunken", "burst"):
                message = f"snapshot {snapshot.name[:8]}: {flag.message}"
                alert = Alert(flag.kind, snapshot.group, message, snapshot.received)
                found.setdefault((snapshot.group, flag.kind), alert)
    return list(found.values())


def named(group: Group) -> str:
    """The group, for people; `host` is how the host is called."""
    parts = [group.hostname or group.host or "unknown host", *([", ".join(group.paths)] if group.paths else [])]
    return ": ".join(parts)
