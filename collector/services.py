"""What the API and the pages work with; `request.app.state.services` holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from starlette.requests import HTTPConnection

from collector.audit import Strangers
from collector.auth import Auth
from collector.backups.browse.process import Browser
from collector.backups.service import Backups
from collector.fleet import Fleet
from collector.ingest import Ingest, Writer
from collector.metrics.contract import History
from collector.store.database import Database


@dataclass(frozen=True, slots=True)
class Services:
    """One of each, made by `collector.app.create_app`."""

    database: Database
    auth: Auth
    fleet: Fleet
    history: History
    writer: Writer
    ingest: Ingest
    strangers: Strangers
    backups: Backups | None
    """None where home keeps no repositories."""
    browser: Browser
    unverified: float
    """Seconds that a backup job may go without being verified."""
    clock: Callable[[], float]
    """Seconds since the epoch."""


def services(request: HTTPConnection) -> Services:
    """Those of the application that got the request."""
    return cast(Services, request.app.state.services)
