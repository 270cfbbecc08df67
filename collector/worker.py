"""What goes on beside requests: finding hosts that went quiet, and keeping history within its bounds."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from msgspec.structs import replace
from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from collector import audit
from collector.api.shapes import StateChange
from collector.ingest import Writer
from collector.metrics.contract import History
from collector.rules.intake import HostRecord
from collector.rules.state import down_message, is_quiet
from collector.store import hosts
from collector.store.database import Database, said

LIVENESS_EVERY = 1.0
"""Seconds between two looks for hosts that went quiet."""
UPKEEP_EVERY = 60.0
"""Seconds between two rounds of keeping within bounds."""
PACE = 0.2
"""Seconds of rest for the writer between two parts of a round."""

log = logging.getLogger(__name__)


class Worker:
    """Its tasks run on the event loop, read in threads, and write by the writer."""

    def __init__(
        self, database: Database, history: History, *, clock: Callable[[], float], ticks: Callable[[], float]
    ) -> None:
        self._database = database
        self._history = history
        self._clock = clock
        self._ticks = ticks
        # Before a host was heard by this process, it counts as heard at its start: nobody could report before.
        self._started = ticks()
        self._heard: dict[str, float] = {}
        self._head = audit.Head(0, audit.START)

    def heard(self, reported: set[str]) -> None:
        """These hosts had a report committed now. Called by the writing thread, so that `_put_down` knows of all."""
        self._heard.update(dict.fromkeys(reported, self._ticks()))

    @asynccontextmanager
    async def running(self, writer: Writer) -> AsyncIterator[None]:
        """Everything that goes on, until the block ends."""
        self._started = self._ticks()
        tasks = [
            asyncio.create_task(forever(LIVENESS_EVERY, lambda: self.find_quiet(writer))),
            asyncio.create_task(forever(UPKEEP_EVERY, lambda: self.keep_up(writer))),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def find_quiet(self, writer: Writer) -> None:
        """Put hosts down that have been quiet for three of their intervals."""
        if any(self._is_quiet(record) for record in await asyncio.to_thread(self._up)):
            await writer.run(self._put_down)

    async def keep_up(self, writer: Writer) -> None:
        """One round of keeping within bounds, in small parts: reports go on in between."""
        if not await asyncio.to_thread(self._database.serves):
            # The server was away, and another home of the same database came first.
            log.critical("another hostward-collector serves the database: this one ends")
            signal.raise_signal(signal.SIGTERM)
            return
        await writer.run(hosts.prune)
        await asyncio.to_thread(self._tell_head)
        while await writer.run(lambda connection: self._history.compact(connection, self._clock())):
            await asyncio.sleep(PACE)
        while await writer.run(lambda connection: self._history.expire(connection, self._clock())):
            await asyncio.sleep(PACE)

    def _tell_head(self) -> None:
        """A head of the audit log outside the database, where who can write that may not be able to write."""
        with self._database.read() as connection:
            head = audit.head(connection)
        if head != self._head:
            self._head = head
            log.info("audit log head: %s", head)

    def _up(self) -> list[HostRecord]:
        with self._database.read() as connection:
            return [record for record in hosts.active_hosts(connection) if record.state not in ("down", "pending")]

    def _is_quiet(self, record: HostRecord) -> bool:
        heard = self._heard.get(record.id, self._started)
        return is_quiet(heard, record.interval, self._ticks())

    def _put_down(self, connection: Connection) -> None:
        """In the writer's transaction, so that no report is under way between the look and the change."""
        now = self._clock()
        quiet = [
            record
            for record in hosts.active_hosts(connection)
            if record.state not in ("down", "pending") and self._is_quiet(record)
        ]
        intake = hosts.Intake()
        down = []
        for record in quiet:
            message = down_message(record.interval)
            change = StateChange(time=now, check="", before=record.state, after="down", message=message)
            intake.changes.append((record.id, change))
            down.append(replace(record, state="down", since=now, message=message))
        hosts.save_standing(connection, down)
        hosts.add_intake(connection, intake)


async def forever(every: float, step: Callable[[], Awaitable[None]]) -> None:
    """A step that fails is tried again: a full disk must not end it. What the database says is told once."""
    told = ""
    while True:
        try:
            await step()
        except DatabaseError as error:
            if (why := said(error)) != told:
                log.error("the database cannot be used: %s", why)
            told = why
        except Exception:
            log.exception("a background task failed; it goes on")
        else:
            if told:
                log.info("the database can be used again")
            told = ""
        await asyncio.sleep(every)
