"""Maintenance windows and leases: what administrators' programs ask of home while they work on hosts."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import msgspec
from starlette.requests import Request

from collector import maintenance
from collector.api.endpoint import Body, Endpoint, Parameter, actor, address, read_json
from collector.api.parameters import bad, given, one_of
from collector.api.problems import ApiError
from collector.services import services
from collector.store import leases, windows
from wire.limits import MAX_NAME
from wire.protocol import JSON_TYPE
from wire.report import Time
from wire.window import Lease, LeaseRequest, Window, WindowList, WindowRequest

MAX_BODY = 4 << 20
"""Bytes: ten thousand names."""
ID = Parameter("window", "path", "The window's id.", {"type": "string"})


class Closed(msgspec.Struct, frozen=True):
    """It is done."""

    time: Time


async def list_windows(request: Request) -> WindowList:
    """Give the maintenance windows that are in force, the newest first; with `all=true` those of the last weeks."""
    ended = one_of(given(request, "all"), "all", ("true", "false")) == "true"
    found = services(request)

    def work() -> WindowList:
        with found.database.read() as connection:
            return WindowList(windows.listed(connection, found.clock(), ended=ended))

    return await asyncio.to_thread(work)


async def open_window(request: Request) -> Window:
    """Open a maintenance window for hosts, by name.

    It ends by itself, so that who opened it need not live to close it. A host that is not enrolled yet may be named.
    """
    asked = await read_json(request, MAX_BODY, WindowRequest)
    found = services(request)
    who, where = actor(request), address(request)

    def work() -> Window:
        with found.database.write() as connection:
            return maintenance.open_window(connection, asked, actor=who, address=where, now=found.clock())

    return await asyncio.to_thread(work)


async def change_window(request: Request) -> Window:
    """Have a window that is in force end at another time, from now on, and be for these hosts."""
    asked = await read_json(request, MAX_BODY, WindowRequest)
    found = services(request)
    who, where = actor(request), address(request)

    def work() -> Window | None:
        with found.database.write() as connection:
            return maintenance.change_window(
                connection, request.path_params["window"], asked, actor=who, address=where, now=found.clock()
            )

    changed = await asyncio.to_thread(work)
    if changed is None:
        raise _not_open(request)
    return changed


async def close_window(request: Request) -> Closed:
    """Close a window that is in force."""
    found = services(request)
    who, where = actor(request), address(request)

    def work() -> Window | None:
        with found.database.write() as connection:
            return maintenance.close_window(
                connection, request.path_params["window"], actor=who, address=where, now=found.clock()
            )

    if await asyncio.to_thread(work) is None:
        raise _not_open(request)
    return Closed(time=found.clock())


async def take_lease(request: Request) -> Lease:
    """Take one of the places of a lease, or keep it for longer.

    Whoever asks says how many places there are. A place that is not kept is free again when its time is over.
    """
    asked = await read_json(request, MAX_BODY, LeaseRequest)
    name = _name(request)
    found = services(request)

    def work() -> Lease:
        now = found.clock()
        with found.database.write() as connection:
            until = leases.take(connection, name, asked.holder, asked.places, now=now, duration=asked.duration)
        if until is None:
            said = f"All {asked.places} places of {name} are held by others; try again in a moment."
            raise ApiError(HTTPStatus.CONFLICT, "taken", said, permanent=False)
        return Lease(name=name, holder=asked.holder, until=until, time=now)

    return await asyncio.to_thread(work)


async def give_back_lease(request: Request) -> Closed:
    """Give a place back. Who holds none gives none back, and is told the same."""
    name, holder = _name(request), given(request, "holder").get("holder", "")
    if not holder:
        raise bad("holder is not given: who gives the place back?")
    found = services(request)

    def work() -> Closed:
        with found.database.write() as connection:
            leases.give_back(connection, name, holder)
        return Closed(time=found.clock())

    return await asyncio.to_thread(work)


def _name(request: Request) -> str:
    name: str = request.path_params["lease"]
    if not 0 < len(name) <= MAX_NAME:
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "bad_parameter", f"A lease's name has 1 to {MAX_NAME} characters."
        )
    return name


def _not_open(request: Request) -> ApiError:
    window = request.path_params["window"]
    return ApiError(HTTPStatus.NOT_FOUND, "not_found", f"There is no window {window} that is in force.")


BAD = {413: "`too_large`.", 422: "`bad_body`: what cannot be taken, and where."}
GONE = {404: "`not_found`: no window of this id is in force."}
NAME = {"type": "string", "minLength": 1, "maxLength": MAX_NAME}
LEASE = Parameter("lease", "path", "What there are only so many places of: `reboot`.", NAME)
HOLDER = Parameter("holder", "query", "Who holds it.", {"type": "string", "minLength": 1}, required=True)

ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/windows",
        access="viewer",
        handler=list_windows,
        answer=WindowList,
        parameters=(
            Parameter("all", "query", "Whether those that are over are given too.", {"enum": ["true", "false"]}),
        ),
        refusals={422: "`bad_parameter`."},
    ),
    Endpoint(
        method="POST",
        path="/api/v1/windows",
        access="operator",
        handler=open_window,
        answer=Window,
        body=Body(JSON_TYPE, WindowRequest),
        refusals=BAD,
    ),
    Endpoint(
        method="PUT",
        path="/api/v1/windows/{window}",
        access="operator",
        handler=change_window,
        answer=Window,
        body=Body(JSON_TYPE, WindowRequest),
        parameters=(ID,),
        refusals={**BAD, **GONE},
    ),
    Endpoint(
        method="DELETE",
        path="/api/v1/windows/{window}",
        access="operator",
        handler=close_window,
        answer=Closed,
        parameters=(ID,),
        refusals=GONE,
    ),
    Endpoint(
        method="PUT",
        path="/api/v1/leases/{lease}",
        access="operator",
        handler=take_lease,
        answer=Lease,
        body=Body(JSON_TYPE, LeaseRequest),
        parameters=(LEASE,),
        refusals={**BAD, 409: "`taken`: all places are others'."},
    ),
    Endpoint(
        method="DELETE",
        path="/api/v1/leases/{lease}",
        access="operator",
        handler=give_back_lease,
        answer=Closed,
        parameters=(LEASE, HOLDER),
        refusals={422: "`bad_parameter`."},
    ),
)
