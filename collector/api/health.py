"""Whether home is alive, and whether it can take reports."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

import msgspec
from sqlalchemy.exc import DatabaseError
from starlette.requests import Request

from collector.api.endpoint import Endpoint
from collector.api.problems import ApiError
from collector.services import services
from kit.version import __version__


class Health(msgspec.Struct, frozen=True):
    """All is well."""

    status: Literal["ok"]
    version: str


async def healthz(request: Request) -> Health:
    """Say that the process answers. A supervisor restarts it when it does not."""
    return Health("ok", __version__)


async def readyz(request: Request) -> Health:
    """Say that reports can be taken: the writer answers, and the database can be written."""
    try:
        await services(request).writer.run(lambda _connection: None)
    except DatabaseError as error:
        raise ApiError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "not_ready",
            # Why is in the log: it names servers, roles and paths, and anybody may ask here.
            "The database cannot be written now; home's log says why.",
            permanent=False,
        ) from error
    return Health("ok", __version__)


ENDPOINTS = (
    Endpoint(method="GET", path="/healthz", access="anyone", handler=healthz, answer=Health),
    Endpoint(
        method="GET",
        path="/readyz",
        access="anyone",
        handler=readyz,
        answer=Health,
        refusals={503: "`not_ready`: the database cannot be written now."},
    ),
)
