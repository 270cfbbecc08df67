"""The hosts as the API and the pages show them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from collector.api.shapes import HostDetail, HostSummary, Updates
from collector.rules.highlights import highlights
from collector.rules.intake import HostRecord
from collector.rules.state import is_stale
from collector.rules.windows import latest
from collector.store import groups, hosts, logs, packages, windows
from collector.store.database import Database
from wire.report import STATES, MaintenanceWindow
from wire.window import Window

CHANGES = 100
"""State changes in a host's detail, at most."""
EVENTS = 100


class Fleet:
    """Reads the store in threads; safe to use from the event loop."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def hosts(self) -> list[HostSummary]:
        """Every host that is not revoked, by name."""
        return await asyncio.to_thread(self._hosts)

    async def host(self, id_or_name: str) -> HostDetail | None:
        """All that is known of one host; None where there is none of this id or name."""
        return await asyncio.to_thread(self._host, id_or_name)

    def _hosts(self) -> list[HostSummary]:
        with self._database.read() as connection:
            found = hosts.active_hosts(connection)
            beside = Beside.read(connection, self._clock())
        return [beside.add(summary(record)) for record in found]

    def _host(self, id_or_name: str) -> HostDetail | None:
        with self._database.read() as connection:
            record = hosts.find_active(connection, id_or_name)
            if record is None:
                return None
            beside = Beside.read(connection, self._clock())
            return HostDetail(
                host=beside.add(summary(record)),
                boot=record.boot,
                clock_offset=record.clock_offset,
                checks=record.checks,
                stale=[check.name for check in record.checks if is_stale(check, record.reported or 0.0)],
                changes=hosts.recent_changes(connection, record.id, CHANGES),
                events=hosts.recent_events(connection, record.id, EVENTS),
                jobs=hosts.last_runs(connection, record.id),
                logs=next(iter(logs.recent_days(connection, record.id, 1)), None),
                gaps=record.lost,
            )


@dataclass(frozen=True, slots=True)
class Beside:
    """What a host's row has beside what its reports say of its state."""

    labels: Mapping[str, groups.Labels]
    updates: Mapping[str, Updates]
    windows: Mapping[str, Window]

    @classmethod
    def read(cls, connection: Connection, now: float) -> Beside:
        """Of all hosts. Windows by name, the rest by id."""
        opened: dict[str, list[Window]] = {}
        for window in windows.listed(connection, now, ended=False):
            for name in window.hosts:
                opened.setdefault(name, []).append(window)
        last = {name: latest(found, now) for name, found in opened.items()}
        return cls(
            groups.every(connection),
            packages.updates(connection),
            {name: window for name, window in last.items() if window is not None},
        )

    def add(self, row: HostSummary) -> HostSummary:
        """The row with it."""
        labels = self.labels.get(row.id, groups.Labels())
        window = self.windows.get(row.name)
        return msgspec.structs.replace(
            row,
            groups=labels.groups,
            tags=labels.tags,
            updates=self.updates.get(row.id),
            window=None if window is None else MaintenanceWindow(until=window.until, reason=window.reason),
        )


def summary(record: HostRecord) -> HostSummary:
    """A host's row of the fleet."""
    counted = Counter(check.state for check in record.checks)
    return HostSummary(
        id=record.id,
        name=record.name,
        enrolled=record.enrolled,
        state=record.state,
        since=record.since,
        message=record.message,
        last_received=record.received,
        interval=record.interval,
        agent=record.agent,
        facts=record.facts,
        counts={state: counted[state] for state in STATES},
        highlights=highlights(record.vitals, {check.name: check for check in record.checks}, record.state),
    )
