"""What the logs of a host say, by day."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import msgspec
from starlette.requests import Request

from collector.api import parameters
from collector.api.endpoint import Endpoint, Parameter
from collector.api.problems import ApiError
from collector.services import services
from collector.store import hosts, logs
from wire.report import LogSummary

DAYS = 7
"""Days that are given where no number is."""


class LogDays(msgspec.Struct, frozen=True, kw_only=True):
    """Days of one host, the newest first, by the host's clock and zone."""

    host: str
    days: list[LogSummary]


async def show_logs(request: Request) -> LogDays:
    """Give what the logs of one host say of its last days.

    A host tells of a day when it is over. Days on which its agent did not run until the day after are missing.
    """
    limit = parameters.whole(parameters.given(request, "days"), "days", logs.KEPT_DAYS) or DAYS
    database = services(request).database

    def work() -> LogDays | None:
        with database.read() as connection:
            record = hosts.find_active(connection, request.path_params["host"])
            if record is None:
                return None
            return LogDays(host=record.id, days=logs.recent_days(connection, record.id, limit))

    result = await asyncio.to_thread(work)
    if result is None:
        name = request.path_params["host"]
        raise ApiError(HTTPStatus.NOT_FOUND, "not_found", f"There is no host with the id or name {name}.")
    return result


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/hosts/{host}/logs",
        access="viewer",
        handler=show_logs,
        answer=LogDays,
        parameters=(
            Parameter("host", "path", "The host's id or name.", {"type": "string"}),
            Parameter(
                "days",
                "query",
                f"How many days; {DAYS} when left out.",
                {"type": "integer", "minimum": 1, "maximum": logs.KEPT_DAYS},
            ),
        ),
        refusals={404: "`not_found`: there is no such host.", 422: "`bad_parameter`: what is wrong with which."},
    ),
)
