"""What administrators say of hosts, groups and tags; and which packages hosts have."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request

from collector import audit
from collector.api.endpoint import Body, Endpoint, Parameter, actor, address, read_json
from collector.api.problems import ApiError
from collector.services import services
from collector.store import groups, hosts, packages
from wire.packages import Packages
from wire.protocol import JSON_TYPE

MAX_BODY = 1 << 16
"""Bytes."""
Word = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[A-Za-z0-9][A-Za-z0-9._:-]*\Z")]
HOST = Parameter("host", "path", "The host's id or name.", {"type": "string"})


class HostGroups(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Groups and tags of a host, whole."""

    groups: Annotated[list[Word], Meta(max_length=50)] = []
    tags: Annotated[dict[Word, Annotated[str, Meta(max_length=256)]], Meta(max_length=50)] = {}


class HostPackages(msgspec.Struct, frozen=True, kw_only=True):
    """The packages of a host as it told them last."""

    host: str
    received: float
    """By home's clock."""
    packages: Packages
    """Its times are by the host's clock."""


async def set_groups(request: Request) -> HostGroups:
    """Say which groups a host is in, and its tags; what was said before no longer holds.

    Inventories ask for them: the tag `address` says where ssh reaches the host, `zone` which hosts may fail together.
    """
    asked = await read_json(request, MAX_BODY, HostGroups)
    found = services(request)
    who, where = actor(request), address(request)

    def work() -> None:
        now = found.clock()
        with found.database.write() as connection:
            record = hosts.find_active(connection, request.path_params["host"])
            if record is None:
                raise _no_host(request)
            before = groups.of_host(connection, record.id)
            after = groups.Labels(sorted(set(asked.groups)), asked.tags)
            if after == before:
                return
            groups.save(connection, record.id, after)
            tags = [f"{key}={value}" for key, value in sorted(after.tags.items())]
            audit.append(
                connection,
                "host.grouped",
                actor=who,
                address=where,
                subject=f"host:{record.id}",
                detail=f"{record.name}: {', '.join([*after.groups, *tags]) or 'none'}",
                now=now,
            )

    await asyncio.to_thread(work)
    return HostGroups(groups=sorted(set(asked.groups)), tags=asked.tags)


async def show_packages(request: Request) -> HostPackages:
    """Give the packages that a host has and those that wait to be updated, as it told them last."""
    found = services(request)

    def work() -> HostPackages:
        with found.database.read() as connection:
            record = hosts.find_active(connection, request.path_params["host"])
            if record is None:
                raise _no_host(request)
            told = packages.find(connection, record.id)
        if told is None:
            said = f"{record.name} has not told its packages."
            raise ApiError(HTTPStatus.NOT_FOUND, "no_packages", said, permanent=False)
        return HostPackages(host=record.id, received=told[1], packages=told[0])

    return await asyncio.to_thread(work)


def _no_host(request: Request) -> ApiError:
    name = request.path_params["host"]
    return ApiError(HTTPStatus.NOT_FOUND, "not_found", f"There is no host {name} here.")


ENDPOINTS = (
    Endpoint(
        method="PUT",
        path="/api/v1/hosts/{host}/groups",
        access="operator",
        handler=set_groups,
        answer=HostGroups,
        body=Body(JSON_TYPE, HostGroups),
        parameters=(HOST,),
        refusals={404: "`not_found`.", 413: "`too_large`.", 422: "`bad_body`: what cannot be taken, and where."},
    ),
    Endpoint(
        method="GET",
        path="/api/v1/hosts/{host}/packages",
        access="viewer",
        handler=show_packages,
        answer=HostPackages,
        parameters=(HOST,),
        refusals={404: "`not_found`; `no_packages`: the host has not told any."},
    ),
)
