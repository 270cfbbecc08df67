"""Backups and drills: over all hosts, of one host, and their history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request

from collector.api.backup_shapes import BackupRow, DrillRow
from collector.api.endpoint import Endpoint, Parameter
from collector.api.parameters import bounded, given, one_of, whole
from collector.api.problems import ApiError
from collector.backups import standing
from collector.backups.standing import HostBackups
from collector.rules.backup_listing import FURTHEST_PAGE, LONGEST_TEXT, SORTS, WORST_FIRST, Query, arrange
from collector.rules.intake import HostRecord
from collector.services import services
from collector.store import backups, hosts
from wire.report import BackupRun, Drill, State

USUAL = 100
MOST = 1000
"""Rows that are given at a time."""
LARGEST = 2**53
"""Of an id, as every JSON reader keeps it exact."""

R = TypeVar("R")


class BackupList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of backup jobs."""

    rows: list[BackupRow]
    counts: dict[State, int]
    """Jobs by state, of those that match `q`."""
    matching: int
    """Jobs that match `q` and `state`."""
    page: int
    pages: int


class DrillList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of drills, the worst first."""

    rows: list[DrillRow]
    matching: int
    page: int
    pages: int


class StoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its host reported it."""

    id: int
    received: float
    """By home's clock."""
    run: BackupRun
    """Its times are by the host's clock."""


class RunList(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of one host, the newest first."""

    host: str
    runs: list[StoredRun]


class StoredDrill(msgspec.Struct, frozen=True, kw_only=True):
    """A drill as its host reported it."""

    id: int
    received: float
    drill: Drill


class DrillHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Drills of one host, the newest first."""

    host: str
    drills: list[StoredDrill]


async def list_backups(request: Request) -> BackupList:
    """Give every backup job of every host with what is wrong with it, in pages.

    A host of which no backup was ever reported has a row with an empty `job`. A page past the end is the last one.
    """
    found = given(request, "state", "q", "sort", "page", "limit")
    one_of(found, "state", WORST_FIRST)
    one_of(found, "sort", tuple(SORTS))
    bounded(found, "q", LONGEST_TEXT)
    whole(found, "page", FURTHEST_PAGE)
    limit = whole(found, "limit", MOST) or USUAL
    database, now, unverified = services(request).database, services(request).clock(), services(request).unverified

    def work() -> BackupList:
        with database.read() as connection:
            entries = standing.overview(connection, now, unverified)
        listing = arrange(entries, Query.parse(found), now=now, size=limit)
        return BackupList(
            rows=list(listing.rows),
            counts=dict(listing.counts),
            matching=listing.matching,
            page=listing.query.page,
            pages=listing.pages,
        )

    return await asyncio.to_thread(work)


async def list_drills(request: Request) -> DrillList:
    """Give every drill of every host with what the last one measured, the worst first, in pages.

    A drill that was not run when it was due is as bad as one that failed.
    """
    found = given(request, "state", "page", "limit")
    state = one_of(found, "state", WORST_FIRST)
    page = whole(found, "page", FURTHEST_PAGE) or 1
    limit = whole(found, "limit", MOST) or USUAL
    database, now = services(request).database, services(request).clock()

    def work() -> DrillList:
        with database.read() as connection:
            rows = [row for row in standing.drills(connection, now) if state in (None, row.state)]
        pages = max(1, -(-len(rows) // limit))
        last = min(page, pages)
        return DrillList(rows=rows[(last - 1) * limit : last * limit], matching=len(rows), page=last, pages=pages)

    return await asyncio.to_thread(work)


async def show_backups(request: Request) -> HostBackups:
    """Give the backup jobs and drills of one host, sizes by day, the trend of each drill, and what home holds."""
    given(request)
    kept, now, unverified = services(request).backups, services(request).clock(), services(request).unverified
    return await _of_host(request, lambda connection, host: standing.of_host(connection, host, kept, now, unverified))


async def list_runs(request: Request) -> RunList:
    """Give the runs of one host's backup jobs, the newest first.

    `before` is the id of the last run that was given, to get those that came before it.
    """
    found = given(request, "job", "before", "limit")
    limit, before = whole(found, "limit", MOST) or USUAL, whole(found, "before", LARGEST)

    def work(connection: Connection, host: HostRecord) -> RunList:
        kept = backups.runs(connection, host.id, job=found.get("job"), before=before, limit=limit)
        runs = [StoredRun(id=one.id, received=one.received, run=one.what) for one in kept]
        return RunList(host=host.id, runs=runs)

    return await _of_host(request, work)


async def list_drill_history(request: Request) -> DrillHistory:
    """Give the drills of one host, the newest first.

    `before` is the id of the last drill that was given, to get those that came before it.
    """
    found = given(request, "name", "before", "limit")
    limit, before = whole(found, "limit", MOST) or USUAL, whole(found, "before", LARGEST)

    def work(connection: Connection, host: HostRecord) -> DrillHistory:
        kept = backups.drill_history(connection, host.id, name=found.get("name"), before=before, limit=limit)
        drills = [StoredDrill(id=one.id, received=one.received, drill=one.what) for one in kept]
        return DrillHistory(host=host.id, drills=drills)

    return await _of_host(request, work)


async def _of_host(request: Request, work: Callable[[Connection, HostRecord], R]) -> R:
    """What `work` makes of the host that the path names. Raises ApiError 404."""
    name, database = request.path_params["host"], services(request).database

    def read() -> R | None:
        with database.read() as connection:
            record = hosts.find_active(connection, name)
            return None if record is None else work(connection, record)

    result = await asyncio.to_thread(read)
    if result is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "not_found", f"There is no host with the id or name {name}.")
    return result


_HOST = Parameter("host", "path", "The host's id or name.", {"type": "string"})
_STATE = Parameter("state", "query", "Only those in this state.", {"type": "string", "enum": list(WORST_FIRST)})
_PAGE = Parameter(
    "page",
    "query",
    "Which page; the first when left out.",
    {"type": "integer", "minimum": 1, "maximum": FURTHEST_PAGE},
)
_LIMIT = Parameter(
    "limit",
    "query",
    f"How many at a time; {USUAL} when left out.",
    {"type": "integer", "minimum": 1, "maximum": MOST},
)
_BEFORE = Parameter(
    "before", "query", "Only those with a smaller id.", {"type": "integer", "minimum": 1, "maximum": LARGEST}
)
_BAD = {422: "`bad_parameter`: what is wrong with which."}
_NOBODY = {404: "`not_found`: there is no such host."}

ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/backups",
        access="viewer",
        handler=list_backups,
        answer=BackupList,
        parameters=(
            _STATE,
            Parameter(
                "q",
                "query",
                "Only those in whose names, source, repository or findings every word of this occurs.",
                {"type": "string", "maxLength": LONGEST_TEXT},
            ),
            Parameter(
                "sort",
                "query",
                "What comes first; the worst when left out.",
                {"type": "string", "enum": list(SORTS)},
            ),
            _PAGE,
            _LIMIT,
        ),
        refusals=_BAD,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/drills",
        access="viewer",
        handler=list_drills,
        answer=DrillList,
        parameters=(_STATE, _PAGE, _LIMIT),
        refusals=_BAD,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/hosts/{host}/backups",
        access="viewer",
        handler=show_backups,
        answer=HostBackups,
        parameters=(_HOST,),
        refusals=_NOBODY | _BAD,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/hosts/{host}/backups/runs",
        access="viewer",
        handler=list_runs,
        answer=RunList,
        parameters=(
            _HOST,
            Parameter("job", "query", "Only runs of this job.", {"type": "string"}),
            _BEFORE,
            _LIMIT,
        ),
        refusals=_NOBODY | _BAD,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/hosts/{host}/drills",
        access="viewer",
        handler=list_drill_history,
        answer=DrillHistory,
        parameters=(
            _HOST,
            Parameter("name", "query", "Only drills of this name.", {"type": "string"}),
            _BEFORE,
            _LIMIT,
        ),
        refusals=_NOBODY | _BAD,
    ),
)
