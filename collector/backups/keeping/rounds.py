"""What the collector does by itself: keeps and verifies repositories when their time has come, one by one."""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy import Connection

from collector.backups import records as stock
from collector.backups.keeping import records
from collector.backups.keeping.due import is_due
from collector.backups.keeping.keeper import Keeper
from collector.backups.keeping.records import Work
from collector.backups.keeping.results import WorkKind
from collector.backups.keeping.target import BusyError, Target, targets
from kit.errors import HostwardError

AGAIN = 3600.0
"""Seconds after which what failed, waits or was ended in the middle is tried again."""

log = logging.getLogger(__name__)


async def go_round(keeper: Keeper) -> None:
    """Do what is due now."""
    for target, kind in await asyncio.to_thread(_due, keeper):
        try:
            if kind == "keep":
                await keeper.keep(target)
            else:
                await keeper.verify(target)
        except BusyError:
            continue  # by hand, just now
        except HostwardError as error:
            log.error("%s: %s", target.title, error)


def _due(keeper: Keeper) -> list[tuple[Target, WorkKind]]:
    with keeper.database.read() as connection:
        return due(connection, keeper)


def due(connection: Connection, keeper: Keeper) -> list[tuple[Target, WorkKind]]:
    """The works whose time has come. A new repository is kept, and verified, when the time of day next comes."""
    options, now = keeper.places.options.keeping, keeper.clock()
    created = {one.name: one.created for one in stock.repositories(connection)}
    last = records.last_works(connection)
    found: list[tuple[Target, WorkKind]] = []
    for target in targets(connection, keeper.places.options):
        kept, verified = last.get((target.name, "keep")), last.get((target.name, "verify"))
        since = created[target.name] if kept is None else kept.started
        if _again(kept, now) or is_due(options.time, since, now, keeper.zone):
            found.append((target, "keep"))
        if target.password_file is None:
            continue
        if verified is None:
            is_time = is_due(options.time, created[target.name], now, keeper.zone)
        else:
            is_time = _again(verified, now) or not 0 <= now - verified.started < options.verify_every
        if is_time:
            found.append((target, "verify"))
    return found


def _again(work: Work | None, now: float) -> bool:
    """Whether it did not come to its end, and it is time to try once more.

    A verification that found something came to its end: reading all of it again would find the same.
    """
    if work is None or now - work.started < AGAIN:
        return False
    return work.result is None or (work.result.outcome != "done" and not work.result.problems)
