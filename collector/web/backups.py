"""The pages about backups: over all hosts, and of one host."""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from collector import audit
from collector.api.backup_shapes import Tried
from collector.api.endpoint import address
from collector.auth import may
from collector.backups import standing
from collector.backups.at_home import OpenAlert, open_alerts
from collector.backups.standing import HostBackups
from collector.rules.backup_listing import Listing, Query, arrange
from collector.services import services
from collector.store import backups as store
from collector.store import hosts
from collector.store.backups import Stored
from collector.web.forms import read_form
from collector.web.pages import DRILLS_SHOWN, HEADERS, host_url, page
from wire.report import BackupRun, Drill

RUNS = 25
"""On a page of history."""
DRILLS = 20
ALERTS = 10
"""Of repositories at home, on the page over all hosts."""


class _Overview(NamedTuple):
    """What the page over all hosts shows."""

    listing: Listing
    trends: dict[tuple[str, str], list[Tried]]
    nothing: bool
    """Whether no job was ever reported."""
    alerts: list[OpenAlert]
    """The newest."""
    more_alerts: int


def backups_url(query: Query) -> str:
    """The page over all hosts that `query` asks for."""
    return f"/backups?{urlencode(query.parameters)}" if query.parameters else "/backups"


async def backups(request: Request) -> Response:
    """GET /backups: every job of every host; its fragment alone where htmx asks."""
    query = Query.parse(request.query_params)
    database, now, unverified = services(request).database, services(request).clock(), services(request).unverified

    def work() -> _Overview:
        with database.read() as connection:
            entries = standing.overview(connection, now, unverified)
            listing = arrange(entries, query, now=now)
            alerts, count = open_alerts(connection, ALERTS)
            return _Overview(
                listing=listing,
                trends=standing.trends(connection, listing.rows, DRILLS_SHOWN),
                nothing=not any(entry.name for entry in entries),
                alerts=alerts,
                more_alerts=count - len(alerts),
            )

    found = await asyncio.to_thread(work)
    listing = found.listing
    fragment = "HX-Request" in request.headers
    return page(
        "_backups_fragment.html" if fragment else "backups.html",
        headers={"HX-Replace-Url": backups_url(listing.query)} if fragment else {},
        section="backups",
        user=request.state.user.name,
        listing=listing,
        trends=found.trends,
        nothing=found.nothing,
        alerts=found.alerts,
        more_alerts=found.more_alerts,
        backups_url=backups_url,
    )


async def host_backups(request: Request) -> Response:
    """GET /hosts/{id}/backups[?before=ID]: the jobs and drills of a host, with their history."""
    before = request.query_params.get("before", "")
    last = int(before) if before.isascii() and before.isdecimal() and len(before) < 17 else None
    database, kept, now = services(request).database, services(request).backups, services(request).clock()
    unverified = services(request).unverified

    def work() -> tuple[HostBackups, float, list[Stored[BackupRun]], list[Stored[Drill]]] | None:
        with database.read() as connection:
            record = hosts.find_active(connection, request.path_params["host"])
            if record is None:
                return None
            return (
                standing.of_host(connection, record, kept, now, unverified),
                standing.line_of(record).ahead,
                store.runs(connection, record.id, job=None, before=last, limit=RUNS + 1),
                store.drill_history(connection, record.id, name=None, before=None, limit=DRILLS),
            )

    found = await asyncio.to_thread(work)
    if found is None:
        raise HTTPException(404)
    backups, ahead, runs, drills = found
    fragment = "HX-Request" in request.headers
    return page(
        "_backups_of_host.html" if fragment else "backups_of_host.html",
        section="backups",
        user=request.state.user.name,
        backups=backups,
        browses=may(request.state.user, "operator"),
        ahead=ahead,
        runs=runs[:RUNS],
        more=runs[RUNS - 1].id if len(runs) > RUNS else None,
        before=last,
        drills=drills,
    )


async def forget(request: Request) -> Response:
    """POST /hosts/{id}/backups/forget: a job or a drill that is no more, by the field `job` or `drill`.

    Home learns of a job by its runs, and cannot know that one was taken out of a host's configuration: it stays
    overdue until a person says so. A run that comes later brings it back.
    """
    form = await read_form(request)
    kind = "job" if "job" in form else "drill"
    name = form.get(kind, "")
    database, now = services(request).database, services(request).clock()

    def work() -> str | None:
        with database.write() as connection:
            record = hosts.find_active(connection, request.path_params["host"])
            if record is None:
                return None
            remove = store.forget_job if kind == "job" else store.forget_drill
            if remove(connection, record.id, name):
                audit.append(
                    connection,
                    "backup.forgotten",
                    actor=f"user:{request.state.user.name}",
                    subject=f"host:{record.id}",
                    address=address(request),
                    detail=f"{kind} {name}",
                    now=now,
                )
            return record.id

    host = await asyncio.to_thread(work)
    if host is None:
        raise HTTPException(404)
    return RedirectResponse(f"{host_url(host)}/backups", 303, HEADERS)


async def of_host(request: Request, host: str) -> HostBackups | None:
    """What the page of a host shows of its backups: nothing of what home holds, which takes longest to find out."""
    database, now, unverified = services(request).database, services(request).clock(), services(request).unverified

    def work() -> HostBackups | None:
        with database.read() as connection:
            record = hosts.find_active(connection, host)
            return None if record is None else standing.of_host(connection, record, None, now, unverified)

    return await asyncio.to_thread(work)
