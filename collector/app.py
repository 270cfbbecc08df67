"""Puts the application together: services, routes, middleware, and the work that goes on beside requests."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from http import HTTPStatus

from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from collector.api import routes as api
from collector.api.problems import RETRY_AFTER, ApiError, refusal, wire_refusal
from collector.audit import Strangers
from collector.auth import Auth
from collector.backups.browse.process import Browser
from collector.backups.places import Places
from collector.backups.service import Backups
from collector.fleet import Fleet
from collector.ingest import Ingest, Writer
from collector.metrics.contract import History
from collector.middleware import LastResort, NoNul, SameOrigin, SecurityHeaders
from collector.rules.backup_state import UNVERIFIED
from collector.services import Services
from collector.store.database import Database, is_away, said
from collector.web.pages import error_page
from collector.web.routes import ROUTES as PAGE_ROUTES
from collector.worker import Worker
from wire.errors import WireError

log = logging.getLogger(__name__)


def create_app(
    database: Database,
    history: History,
    *,
    places: Places | None = None,
    unverified: float = UNVERIFIED,
    clock: Callable[[], float] = time.time,
    ticks: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The whole application over `database`, which stays the caller's to close.

    `places` is where the repositories of hosts are; None for a home that keeps none. `unverified` is how many seconds
    a backup job may go without being verified. `clock` is seconds since the
    epoch; `ticks` a clock that nobody can set, by which hosts are found to be quiet.
    """
    worker = Worker(database, history, clock=clock, ticks=ticks)
    writer = Writer(database, history, clock=clock, heard=worker.heard)
    strangers = Strangers()
    backups = None if places is None else Backups(places, database, writer, strangers, clock)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        writer.start(asyncio.get_running_loop())
        try:
            async with worker.running(writer), nullcontext() if backups is None else backups.running():
                yield
        finally:
            await writer.stop()

    signed = frozenset(endpoint.path for endpoint in api.ENDPOINTS if endpoint.access == "signature")
    app = Starlette(
        routes=[*api.ROUTES, *PAGE_ROUTES, *([] if backups is None else [Mount("/backup", backups.app)])],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(LastResort, respond=_respond),
            Middleware(NoNul, respond=_respond, exempt="/backup/"),
            Middleware(SameOrigin, respond=_respond, exempt=signed),
        ],
        exception_handlers={
            HTTPException: _on_http,
            ApiError: _on_api,
            WireError: _on_wire,
            OperationalError: _on_database,
        },
        lifespan=lifespan,
    )
    # A redirect to the same path with or without a slash would lead wherever the request's Host header says.
    app.router.redirect_slashes = False
    app.state.services = Services(
        database=database,
        auth=Auth(database, clock, strangers),
        fleet=Fleet(database, clock),
        history=history,
        writer=writer,
        ingest=Ingest(database, writer, clock=clock),
        strangers=strangers,
        backups=backups,
        browser=Browser(),
        unverified=unverified,
        clock=clock,
    )
    return app


def _respond(request: Request, error: ApiError) -> Response:
    """JSON to programs, a page to people."""
    path = request.url.path
    if f"{path}/".startswith("/api/") or path in ("/healthz", "/readyz"):
        return refusal(error)
    response = error_page(request, error.status)
    response.headers.update(error.headers)
    return response


def _on_database(request: Request, error: Exception) -> Response:
    assert isinstance(error, OperationalError)
    if not is_away(error):
        raise error
    log.error("the database cannot be used: %s", said(error))
    return _respond(
        request,
        ApiError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "busy",
            "Home cannot use its database now; try again in a moment.",
            permanent=False,
            headers={"Retry-After": str(RETRY_AFTER)},
        ),
    )


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    sentences = {
        HTTPStatus.NOT_FOUND: f"There is nothing at {request.url.path}.",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.url.path} does not take {request.method}.",
    }
    message = sentences.get(status, f"{error.detail}.")
    return _respond(request, ApiError(status, status.name.lower(), message, headers=dict(error.headers or {})))


def _on_api(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _respond(request, error)


def _on_wire(request: Request, error: Exception) -> Response:
    assert isinstance(error, WireError)
    return wire_refusal(error, request.app.state.services.clock())
