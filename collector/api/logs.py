"""What the logs of a host say, by day."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import msgspec
from starlette.requests import Request

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
    limit = _days(request.query_params.multi_items())
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


def _days(items: list[tuple[str, str]]) -> int:
    """Raises ApiError 422."""
    given = dict(items)
    if unknown := given.keys() - {"days"}:
        raise _bad(f"There is no parameter {min(unknown)}; there is days.")
    if len(items) > 1:
        raise _bad("The parameter days is given twice.")
    text = given.get("days", str(DAYS))
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= logs.KEPT_DAYS):
        raise _bad(f"days must be a number from 1 to {logs.KEPT_DAYS}.")
    return int(text)


def _bad(message: str) -> ApiError:
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_parameter", message)


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
