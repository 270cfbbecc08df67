"""What waits to be updated on a host: the first of it on the host's page, all of it on a page of its own."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from collector.services import services
from collector.store import hosts, packages
from collector.store.packages import Waiting
from collector.web.pages import page
from collector.web.timeline import ahead_of

SHOWN = 10
"""Updates on the host's page."""


async def updates(request: Request) -> Response:
    """GET /hosts/{id}/updates: all of them; the fragment alone where htmx asks."""
    database = services(request).database

    def work() -> tuple[str, str, float, Waiting] | None:
        with database.read() as connection:
            record = hosts.find_active(connection, request.path_params["host"])
            if record is None:
                return None
            waiting = packages.waiting(connection, record.id)
            return record.id, record.name, ahead_of(record.clock_offset), waiting

    found = await asyncio.to_thread(work)
    if found is None:
        raise HTTPException(404)
    host, name, ahead, waiting = found
    return page(
        "_updates.html" if "HX-Request" in request.headers else "updates.html",
        section="fleet",
        user=request.state.user.name,
        host=host,
        name=name,
        ahead=ahead,
        waiting=waiting,
    )


async def of_host(request: Request, host: str) -> Waiting:
    """What the host's page shows the first of."""
    database = services(request).database

    def work() -> Waiting:
        with database.read() as connection:
            return packages.waiting(connection, host)

    return await asyncio.to_thread(work)
