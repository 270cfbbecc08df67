"""The audit log, for administrators."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request

from collector import audit
from collector.api import parameters
from collector.api.endpoint import Endpoint, Parameter
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
    asked = parameters.given(request, "limit", "before")
    limit = parameters.whole(asked, "limit", MOST) or USUAL
    before = parameters.whole(asked, "before", LARGEST)

    def work() -> AuditList:
        with services(request).database.read() as connection:
            found = audit.entries(connection, limit=limit, before=before)
            return AuditList(entries=found, head=str(audit.head(connection)))

    return await asyncio.to_thread(work)


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
