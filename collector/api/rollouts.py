"""Rollouts, as the machines of administrators tell them while they run."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import msgspec
from starlette.requests import Request

from collector import audit
from collector.api.endpoint import Body, Endpoint, Parameter, actor, address, read_json
from collector.api.parameters import given, whole
from collector.api.problems import ApiError
from collector.services import services
from collector.store import rollouts
from collector.store.rollouts import RolloutSummary, StoredRollout
from wire.protocol import JSON_TYPE
from wire.rollout import RolloutRecord, misplaced

MAX_RECORD = 16 << 20
"""Bytes of a record: some thousands of hosts with the versions of what was patched."""
ID = Parameter("rollout", "path", "The rollout's id.", {"type": "string"})
ENDS = ("aborted", "failed", "done")


class RolloutList(msgspec.Struct, frozen=True):
    """The newest first."""

    rollouts: list[RolloutSummary]


async def list_rollouts(request: Request) -> RolloutList:
    """Give the rollouts that home was told of, the newest first."""
    limit = whole(given(request, "limit"), "limit", rollouts.KEPT) or 100
    found = services(request)

    def work() -> RolloutList:
        with found.database.read() as connection:
            return RolloutList(rollouts.listed(connection, limit))

    return await asyncio.to_thread(work)


async def show_rollout(request: Request) -> RolloutRecord:
    """Give one rollout as it stood when home was told of it last: waves, hosts, versions before and after."""
    found = services(request)

    def work() -> StoredRollout | None:
        with found.database.read() as connection:
            return rollouts.find(connection, request.path_params["rollout"])

    stored = await asyncio.to_thread(work)
    if stored is None:
        said = f"There is no rollout {request.path_params['rollout']} here."
        raise ApiError(HTTPStatus.NOT_FOUND, "not_found", said)
    return stored.record


async def tell_rollout(request: Request) -> RolloutSummary:
    """Take the record of a rollout, whole, in the place of what was told of it before."""
    record = await read_json(request, MAX_RECORD, RolloutRecord)
    if record.id != request.path_params["rollout"]:
        said = f"The record is of the rollout {record.id}, and is put to another one."
        raise ApiError(HTTPStatus.CONFLICT, "other_rollout", said)
    found = services(request)
    who, where = actor(request), address(request)

    def work() -> RolloutSummary:
        if (host := misplaced(record)) is not None:
            said = f"The record has the host {host} not in exactly one wave and among its hosts."
            raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_body", said)
        now = found.clock()
        with found.database.write() as connection:
            before = rollouts.save(connection, record, who, now)
            # Tokens are replaced while a rollout is paused, so another one may go on with it; that is on record.
            if before != who or record.state in ENDS:
                taken = "" if before in (None, who) else f", which was told by {before} before"
                audit.append(
                    connection,
                    "rollout.told",
                    actor=who,
                    address=where,
                    subject=f"rollout:{record.id}",
                    detail=f"{record.deploy} by {record.who}, {len(record.hosts)} hosts: {record.state}{taken}",
                    now=now,
                )
        return rollouts.summarise(record, who, now)

    return await asyncio.to_thread(work)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/rollouts",
        access="viewer",
        handler=list_rollouts,
        answer=RolloutList,
        parameters=(
            Parameter(
                "limit", "query", "How many are given (100).", {"type": "integer", "minimum": 1, "maximum": 500}
            ),
        ),
        refusals={422: "`bad_parameter`."},
    ),
    Endpoint(
        method="GET",
        path="/api/v1/rollouts/{rollout}",
        access="viewer",
        handler=show_rollout,
        answer=RolloutRecord,
        parameters=(ID,),
        refusals={404: "`not_found`: no rollout of this id was told."},
    ),
    Endpoint(
        method="PUT",
        path="/api/v1/rollouts/{rollout}",
        access="operator",
        handler=tell_rollout,
        answer=RolloutSummary,
        body=Body(JSON_TYPE, RolloutRecord),
        parameters=(ID,),
        refusals={
            409: "`other_rollout`: the record has another id.",
            413: "`too_large`.",
            422: "`bad_body`: what cannot be taken, and where.",
        },
    ),
)
