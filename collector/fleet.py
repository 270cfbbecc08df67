"""The hosts as the API and the pages show them."""

from __future__ import annotations

import asyncio
from collections import Counter

from collector.api.shapes import HostDetail, HostSummary
from collector.rules.highlights import highlights
from collector.rules.intake import HostRecord
from collector.rules.state import is_stale
from collector.store import hosts, logs
from collector.store.database import Database
from wire.report import STATES

CHANGES = 100
"""State changes in a host's detail, at most."""
EVENTS = 100


class Fleet:
    """Reads the store in threads; safe to use from the event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hosts(self) -> list[HostSummary]:
        """Every host that is not revoked, by name."""
        return await asyncio.to_thread(self._hosts)

    async def host(self, id_or_name: str) -> HostDetail | None:
        """All that is known of one host; None where there is none of this id or name."""
        return await asyncio.to_thread(self._host, id_or_name)

    def _hosts(self) -> list[HostSummary]:
        with self._database.read() as connection:
            found = hosts.active_hosts(connection)
        return [summary(record) for record in found]

    def _host(self, id_or_name: str) -> HostDetail | None:
        with self._database.read() as connection:
            record = hosts.find_active(connection, id_or_name)
            if record is None:
                return None
            return HostDetail(
                host=summary(record),
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
