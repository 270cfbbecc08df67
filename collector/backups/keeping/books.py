"""What is read of the database before home works on a repository, and written after each step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from backup.stores.contract import FileKind
from collector import audit
from collector.backups import records as stock
from collector.backups.keeping import records
from collector.backups.keeping.alerts import Alert
from collector.backups.keeping.facts import Facts, Group
from collector.backups.keeping.messages import Changed, Looked
from collector.backups.records import Receipt

STALE = 1800.0
"""Seconds after its receipt at which a lock was left behind: clients write theirs anew every five minutes (restic's
doc/design.rst, "Locks")."""
BASES = 3
"""Snapshots of a group beside which it is counted what is new in the next."""
_SHOWN = 20
"""Snapshots that an entry of the audit log names."""


class Books(NamedTuple):
    """What is known."""

    snapshots: list[records.Known]
    """Gone ones too, in the order of their receipt."""
    receipts: list[Receipt]
    """Of snapshots, in their order."""
    alerts: list[records.Raised]

    @property
    def there(self) -> list[records.Known]:
        """Those that are not gone."""
        return [one for one in self.snapshots if one.removed is None]

    @property
    def new(self) -> list[Receipt]:
        """Of snapshots that were not looked at. One that was removed and sent once more is a new one."""
        there = {one.facts.name for one in self.there}
        return [receipt for receipt in self.receipts if receipt.name not in there]

    @property
    def unopened(self) -> list[Receipt]:
        """The same, and those that home could not open when they came."""
        opened = {one.facts.name for one in self.there if one.facts.opened}
        return [receipt for receipt in self.receipts if receipt.name not in opened]

    @property
    def bases(self) -> list[str]:
        """The last ones of each group that can be restored and measured; the very last may be gone."""
        groups: dict[Group, list[str]] = {}
        for one in self.there:
            if not (one.facts.broken or one.facts.unmeasured):
                groups.setdefault(one.facts.group, []).append(one.facts.name)
        return [name for names in groups.values() for name in names[-BASES:]]

    def stopped(self) -> tuple[str, dict[Group, str]]:
        """Why nothing at all is removed, or '', and why nothing of a group is."""
        open_ones = [one for one in self.alerts if one.stops and one.acknowledged is None]
        whole = next((_told(one) for one in open_ones if one.group is None), "")
        return whole, {one.group: _told(one) for one in open_ones if one.group is not None}

    def usual_since(self) -> dict[Group, float]:
        """From which receipt on the snapshots of a group show what is usual, whatever their flags."""
        since: dict[Group, float] = {}
        for one in self.alerts:
            if one.group is not None and one.acknowledged is not None:
                since[one.group] = max(since.get(one.group, 0.0), one.since)
        return since


def _told(alert: records.Raised) -> str:
    return f"alert {alert.id}: {alert.message}"


def read(connection: Connection, repository: str) -> Books:
    """What is known of a repository."""
    return Books(
        records.known(connection, repository),
        list(stock.receipts(connection, repository, FileKind.SNAPSHOT)),
        records.alerts(connection, repository),
    )


def locks(connection: Connection, repository: str, now: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of locks: those that hosts may hold, and those that were left behind, by whomever.

    One that was received later than now shows that the clock was set back since: it counts from now on.
    """
    stock.restart_locks(connection, repository, now)
    found = list(stock.receipts(connection, repository, FileKind.LOCK))
    old = {one.name for one in found if now - one.received > STALE}
    return tuple(one.name for one in found if one.host is not None and one.name not in old), tuple(sorted(old))


def ranks(connection: Connection, repository: str) -> dict[str, float]:
    """Packs that hosts sent to when they were received."""
    return {
        one.name: one.received
        for one in stock.receipts(connection, repository, FileKind.PACK)
        if one.host is not None
    }


def opened(receipt: Receipt, looked: Looked) -> Facts:
    """A snapshot that home could open."""
    return Facts(
        name=receipt.name,
        group=Group(receipt.host or "", looked.hostname, looked.paths),
        received=receipt.received,
        claimed=looked.claimed,
        tags=looked.tags,
        bytes=looked.bytes,
        files=looked.files,
        changed=looked.changed,
        problem=looked.problem,
        unmeasured=looked.unmeasured,
    )


def unopened(connection: Connection, arrived: Iterable[Receipt], before: Iterable[Facts]) -> list[Facts]:
    """Snapshots that home cannot open, with what their hosts sent since the one before."""
    last: dict[str, float] = {one.group.host: one.received for one in sorted(before, key=lambda one: one.received)}
    found = []
    for receipt in arrived:
        host = receipt.host or ""
        sent = stock.sent(connection, receipt.repository, receipt.host, last.get(host, 0.0), receipt.received)
        found.append(Facts(name=receipt.name, group=Group(host), received=receipt.received, changed=sent))
        last[host] = receipt.received
    return found


def write_look(
    connection: Connection,
    repository: str,
    judged: list[Facts],
    alerts: list[Alert],
    *,
    planned: Mapping[str, str],
    gone: Mapping[str, str],
    by: str,
    now: float,
) -> list[Alert]:
    """What a look brought: new snapshots, those that home removed as planned (name to reason), and those that are
    gone otherwise. Returns the alerts that are new.
    """
    records.add_snapshots(connection, repository, judged)
    write_removed(connection, repository, planned, by=by, now=now)
    for name, reason in gone.items():
        records.set_removed(connection, repository, [name], now, reason)
    stock.forget(connection, repository, FileKind.SNAPSHOT, [*planned, *gone])
    return records.raise_alerts(connection, repository, alerts, now)


def write_removed(connection: Connection, repository: str, names: Iterable[str], *, by: str, now: float) -> None:
    """Snapshots are gone, as planned."""
    removed = list(names)
    if not removed:
        return
    records.set_removed(connection, repository, removed, now)
    shown = " ".join(name[:8] for name in removed[:_SHOWN]) + (" …" if len(removed) > _SHOWN else "")
    count = f"{len(removed)} snapshot{'s' if len(removed) > 1 else ''}"
    audit.append(
        connection,
        "backup.removed",
        actor=by,
        subject=f"repository:{repository}",
        detail=f"{count}: {shown}",
        now=now,
    )


def write_changed(connection: Connection, repository: str, changed: Changed, now: float) -> None:
    """Make receipts agree with what the working process did to files. Its locks have none."""
    for kind, names in changed.removed.items():
        stock.forget(connection, repository, FileKind(kind), names)
    for kind, files in changed.added.items():
        if kind != FileKind.LOCK.value:
            stock.add(
                connection,
                [Receipt(repository, FileKind(kind), name, size, now, None) for name, size in files.items()],
            )


def release(connection: Connection, repository: str, snapshot: Facts, *, by: str, now: float) -> None:
    """The flags of a snapshot do not count from now on: it is kept and removed like any other."""
    records.release(connection, repository, snapshot)
    flags = "; ".join(flag.message for flag in snapshot.flags)
    audit.append(
        connection,
        "backup.released",
        actor=by,
        subject=f"repository:{repository}",
        detail=f"snapshot {snapshot.name[:8]}: {flags}",
        now=now,
    )


def acknowledge(connection: Connection, alert: records.Raised, *, by: str, now: float) -> None:
    """Somebody has looked at an alert: what it stopped goes on, and what came since it began shows what is usual."""
    records.acknowledge(connection, alert.id, by, now)
    audit.append(
        connection,
        "backup.acknowledged",
        actor=by,
        subject=f"repository:{alert.repository}",
        detail=f"alert {alert.id}: {alert.message}",
        now=now,
    )
