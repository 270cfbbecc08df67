"""The audit log, for administrators."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import msgspec
from starlette.requests import Request

from collector import audit
from collector.api.endpoint import Endpoint, Parameter
from collector.api.problems import ApiError
from collector.services import services

USUAL = 100
MOST = 1000
"""Entries that are given at a time."""
LARGEST = 2**53
"""Of a number, as every JSON reader keeps it exact."""


class AuditList(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the log, the newest entry first."""

    entries: list[audit.Entry]
    head: str
    """`NUMBER:HASH` of the newest entry there is; `hostward-collector audit verify --head` takes it."""


async def list_entries(request: Request) -> AuditList:
    """Give what people, hosts and tokens did, the newest first.

    `before` is the number of the last entry that was given, to get those that came before it.
    """
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in ("limit", "before"):
            raise _bad(f"There is no parameter {name}; there are limit and before.")
        if name in given:
            raise _bad(f"The parameter {name} is given twice.")
        given[name] = value
    limit = _whole(given, "limit", MOST) or USUAL
    before = _whole(given, "before", LARGEST)

    def work() -> AuditList:
        with services(request).database.read() as connection:
            found = audit.entries(connection, limit=limit, before=before)
            return AuditList(entries=found, head=str(audit.head(connection)))

    return await asyncio.to_thread(work)


def _whole(given: dict[str, str], name: str, most: int) -> int | None:
    if name not in given:
        return None
    text = given[name]
    if not (text.isascii() and text.isdecimal() and len(text) < 17 and 1 <= int(text) <= most):
        raise _bad(f"{name} must be a whole number from 1 to {most}.")
    return int(text)


def _bad(message: str) -> ApiError:
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_parameter", message)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/audit",
        access="admin",
        handler=list_entries,
        answer=AuditList,
        parameters=(
            Parameter(
                "limit",
                "query",
                f"How many; {USUAL} when left out.",
                {"type": "integer", "minimum": 1, "maximum": MOST},
            ),
            Parameter(
                "before",
                "query",
                "Only entries with a smaller number.",
                {"type": "integer", "minimum": 1, "maximum": LARGEST},
            ),
        ),
        refusals={422: "`bad_parameter`: what is wrong with which."},
    ),
)
