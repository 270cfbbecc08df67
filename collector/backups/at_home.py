"""What home holds of a host: its repository, what is odd about it, and which snapshots stay and why."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from collector.backups import records as stock
from collector.backups.keeping import books, records
from collector.backups.keeping.due import next_due
from collector.backups.keeping.figures import (
    AlertFigure,
    PlanFigure,
    RepositoryFigure,
    alert_figure,
    plan_figure,
    repository_figure,
)
from collector.backups.keeping.keeper import Plans
from collector.backups.keeping.plan import plan
from collector.backups.keeping.target import host_names, target_of
from collector.backups.service import Backups
from collector.rules.intake import HostRecord

REMOVED = 20
"""Snapshots that are gone, of which is told."""


class RemovedSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot that is gone."""

    name: str
    received: float
    removed: float
    reason: str


class AtHome(msgspec.Struct, frozen=True, kw_only=True):
    """The repository of a host at home."""

    repository: str
    shared: bool
    quota: int | None
    """Bytes."""
    append_only: bool
    """Whether hosts can only add."""
    figures: RepositoryFigure | None
    """None where nothing was saved there yet."""
    plan: PlanFigure | None
    """Which snapshots stay, as home last saw them."""
    new: int
    """Snapshots received since home last looked."""
    removed: list[RemovedSnapshot]
    """The last ones that are gone."""


def at_home(connection: Connection, backups: Backups, record: HostRecord, now: float) -> AtHome:
    """Of one host."""
    options = backups.places.options
    place = backups.place_of(record.id, record.name)
    found = stock.repository(connection, place.repository)
    if found is None:
        return AtHome(
            repository=place.repository,
            shared=place.shared,
            quota=place.quota,
            append_only=place.append_only,
            figures=None,
            plan=None,
            new=0,
            removed=[],
        )
    target = target_of(connection, options, found)
    known = books.read(connection, place.repository)
    whole, stopped = known.stopped()
    there = [one.facts for one in known.there]
    zone = backups.keeper.zone
    plans = Plans(plan(there, target.rules, stopped, now=now, zone=zone), whole, unknown=0)
    groups = {one.group for one in there} | {alert.group for alert in known.alerts if alert.group is not None}
    names = host_names(connection, {group.host for group in groups})
    kept = next(iter(records.works(connection, place.repository, "keep", 1)), None)
    verified = next(iter(records.works(connection, place.repository, "verify", 1)), None)
    gone = sorted((one for one in known.snapshots if one.removed is not None), key=lambda one: -(one.removed or 0.0))
    return AtHome(
        repository=place.repository,
        shared=place.shared,
        quota=place.quota,
        append_only=place.append_only,
        figures=repository_figure(
            target,
            found,
            known.snapshots,
            known.alerts,
            (kept, verified),
            names,
            next_keep=next_due(options.keeping.time, now, zone),
        ),
        plan=plan_figure(target, plans, names),
        new=len(known.new),
        removed=[
            RemovedSnapshot(
                name=one.facts.name, received=one.facts.received, removed=one.removed or 0.0, reason=one.reason
            )
            for one in gone[:REMOVED]
        ],
    )


class OpenAlert(NamedTuple):
    """An alert that is open."""

    host: str | None
    """The id of the host whose own repository it is about; None for a shared one."""
    figure: AlertFigure


def open_alerts(connection: Connection, limit: int) -> tuple[list[OpenAlert], int]:
    """The newest ones of all repositories, and how many there are."""
    alerts = records.open_alerts(connection, limit=limit)
    names = host_names(connection, {alert.group.host for alert in alerts if alert.group is not None})
    owners = {one: stock.repository(connection, one) for one in {alert.repository for alert in alerts}}
    found = [
        OpenAlert(owner.host if (owner := owners[alert.repository]) else None, alert_figure(alert, names))
        for alert in alerts
    ]
    return found, records.count_open_alerts(connection) if len(alerts) == limit else len(alerts)
