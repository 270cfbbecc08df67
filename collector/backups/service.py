"""Repositories at home, as a running collector has them: what serves them, and what goes on beside that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from sqlalchemy.exc import DatabaseError

from backup.stores.contract import FileKind, FileMissingError, StoreError
from collector.audit import Strangers
from collector.backups import records
from collector.backups.access import Access
from collector.backups.keeping.keeper import Keeper
from collector.backups.keeping.rounds import go_round
from collector.backups.places import Places
from collector.backups.receipts import Receipts
from collector.backups.reconcile import reconcile
from collector.backups.serving import Serving
from collector.backups.settings import Place, place_of
from collector.backups.turns import OneByOne, Seats, Turns
from collector.backups.uploads import Uploads
from collector.ingest import Writer
from collector.store.database import Database
from kit.errors import HostwardError
from kit.zones import zone_of

LOOK_EVERY = 3600.0
"""Seconds between two looks for locks that were left behind."""
RECONCILE_EVERY = 24
"""Looks between two at all files; the first is at the start."""
KEEP_EVERY = 60.0
"""Seconds between two looks for repositories that are due to be kept or verified."""
LEFT_BEHIND = 86400.0
"""Seconds after its receipt that a lock counts as left behind: who is alive renews it every five minutes."""

_US = ""
"""Whose turn it is when home works for itself."""

log = logging.getLogger(__name__)


class Backups:
    """One of it, made by whoever makes the application."""

    def __init__(
        self,
        places: Places,
        database: Database,
        writer: Writer,
        strangers: Strangers,
        clock: Callable[[], float],
    ) -> None:
        self.places = places
        """Where the repositories are."""
        self._database = database
        self._clock = clock
        self._turns = Turns()
        receipts = Receipts(writer)
        keep_free = int(places.options.keep_free)
        self._uploads = Uploads(database, places, receipts, self._turns, keep_free=keep_free, clock=clock)
        self.app = Serving(
            database=database,
            places=places,
            access=Access(database, places.options, strangers, clock),
            receipts=receipts,
            uploads=self._uploads,
            turns=self._turns,
            seats=Seats(),
            files=OneByOne(),
            clock=clock,
        )
        """What serves everything under /backup/."""
        self.keeper = Keeper(database=database, write=writer.run, places=places, clock=clock, zone=zone_of(""))
        """Who forgets and prunes."""

    def place_of(self, host: str, name: str) -> Place:
        """Where the host of this id and name saves to."""
        return place_of(self.places.options, host, name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What goes on beside requests, until the block ends."""
        await self._step(self.places.prepare)
        tasks = [asyncio.create_task(self._keep_up()), asyncio.create_task(self._keep())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._turns.close()
            self.places.close()

    async def _keep_up(self) -> None:
        look = 0
        while True:
            for repository in await asyncio.to_thread(self._repositories):
                if look % RECONCILE_EVERY == 0:
                    await self._step(partial(self._reconcile, repository))
                await self._step(partial(self._unlock, repository))
            look += 1
            await asyncio.sleep(LOOK_EVERY)

    async def _keep(self) -> None:
        while True:
            try:
                await go_round(self.keeper)
            except DatabaseError as error:
                log.error("backups: the database cannot be used: %s", error.orig)
            except Exception:
                log.exception("backups: keeping failed; it goes on")
            await asyncio.sleep(KEEP_EVERY)

    async def _step(self, work: Callable[[], object]) -> None:
        """What fails is told, and tried again at its next time."""
        try:
            await self._turns.run(_US, work)
        except (HostwardError, OSError) as error:
            log.error("backups: %s", error)
        except DatabaseError as error:
            log.error("backups: the database cannot be used: %s", error.orig)
        except Exception:
            log.exception("backups: a background task failed; it goes on")

    def _repositories(self) -> list[records.Repository]:
        try:
            with self._database.read() as connection:
                return records.repositories(connection)
        except DatabaseError as error:
            log.error("backups: the database cannot be used: %s", error.orig)
            return []

    def _reconcile(self, repository: records.Repository) -> None:
        store = self.places.store(repository.name)
        done = reconcile(
            self._database,
            store,
            repository.name,
            host=repository.host,
            is_arriving=partial(self._uploads.is_arriving, repository.name),
            clock=self._clock,
        )
        if done is None and repository.files:
            log.error("repository %s is not at %s; is a disk not mounted?", repository.name, store.location)

    def _unlock(self, repository: records.Repository) -> None:
        """Remove locks whose processes are gone: no host can where another one left them."""
        database, now = self._database, self._clock()
        with database.write() as connection:
            records.restart_locks(connection, repository.name, now)
            old = [
                one.name
                for one in records.receipts(connection, repository.name, FileKind.LOCK)
                if one.received < now - LEFT_BEHIND
            ]
        store = self.places.store(repository.name)
        for name in old:
            try:
                store.remove(FileKind.LOCK, name)
                log.info("repository %s: removed a lock that was left behind for a day", repository.name)
            except FileMissingError:
                pass
            except StoreError as error:
                log.error("backups: %s", error)
                continue
            with database.write() as connection:
                records.forget(connection, repository.name, FileKind.LOCK, [name])
