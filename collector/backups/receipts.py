"""Writes receipts: those that come while others are being written share the next transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from collector.backups import records
from collector.backups.access import Guest
from collector.backups.records import Receipt
from collector.ingest import Writer


class RevokedError(Exception):
    """The host was revoked while it sent."""


class BusyError(Exception):
    """The database cannot be written now."""


class Receipts:
    """Used on the event loop alone; written by the one thread that writes reports."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._waiting: list[tuple[Receipt, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def begin(self, guest: Guest, now: float) -> None:
        """Remember the repository of a host; one that is known stays as it is. Raises BusyError."""
        place = guest.place
        await self._run(
            lambda connection: records.add_repository(
                connection, place.repository, None if place.shared else guest.host, now
            )
        )

    async def add(self, receipt: Receipt) -> None:
        """Until it is committed. Raises RevokedError, BusyError."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((receipt, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await done

    async def forget(self, receipt: Receipt) -> None:
        """Its file is gone. Raises BusyError."""
        await self._run(
            lambda connection: records.forget(connection, receipt.repository, receipt.kind, [receipt.name])
        )

    async def _run(self, work: Callable[[Connection], None]) -> None:
        try:
            await self._writer.run(work)
        except OperationalError as error:
            raise BusyError(str(error.orig)) from error

    async def _write(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                failure: Exception | None = None
                active: set[str] = set()
                try:
                    receipts = [receipt for receipt, _ in group]
                    active = await self._writer.run(partial(_write_those_of_active, group=receipts))
                except OperationalError as error:
                    failure = BusyError(str(error.orig))
                except Exception as error:  # each of the group is told, and its request fails
                    failure = error
                for receipt, done in group:
                    if done.done():
                        continue
                    if failure is not None:
                        done.set_exception(failure)
                    elif receipt.host in active:
                        done.set_result(None)
                    else:
                        done.set_exception(RevokedError())
        finally:
            self._writing = None


def _write_those_of_active(connection: Connection, group: list[Receipt]) -> set[str]:
    """Which hosts may still send: theirs are written."""
    active = records.active(connection, {one.host for one in group if one.host is not None})
    records.add(connection, [one for one in group if one.host in active])
    return active
