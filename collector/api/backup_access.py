"""Where a host gets what opens its repository at home."""

from __future__ import annotations

import asyncio
from hmac import compare_digest
from http import HTTPStatus

from starlette.requests import Request

from collector import audit
from collector.api.endpoint import Body, Endpoint, address, read_body, target
from collector.api.problems import ApiError
from collector.backups import records
from collector.backups.service import Backups
from collector.credentials import new_token
from collector.services import Services, services
from wire.access import Access, AccessRequest, decode_access_request
from wire.errors import WireError
from wire.protocol import BACKUP_ACCESS, JSON_TYPE

MAX_REQUEST = 4096
"""Bytes."""
WEIGHT = 5_000
"""What a request counts towards what home takes of one host: some twenty at once, and then one each 2.5 s."""


async def give_access(request: Request) -> Access:
    """Give a host what opens its repository.

    The request is signed with the host's key. Who holds a credential sends its SHA-256 and is told whether it is
    good; without one, or where it is not, home makes a new one, which ends the one before it. Home keeps its
    SHA-256. It is used by HTTP Basic below `/backup/`, where home serves restic's REST protocol.
    """
    found = services(request)
    if request.headers.get("content-type") != JSON_TYPE:
        raise WireError("bad_request", f"the request is sent as {JSON_TYPE}")
    claim = await found.ingest.expect(request.headers)
    body = await read_body(request, MAX_REQUEST)
    await found.ingest.prove(claim, target(request), body, weight=WEIGHT)
    try:
        asked = decode_access_request(body)
    except ValueError as error:
        raise WireError("bad_request", f"this asks for no access to backups: {error}") from None
    if found.backups is None:
        raise ApiError(
            HTTPStatus.NOT_FOUND,
            "no_backups",
            "This home keeps no backups: its collector.toml has no [backups].",
            permanent=False,
        )
    held = None if asked.held is None else bytes.fromhex(asked.held)
    return await asyncio.to_thread(_give, found, found.backups, claim.key_id, held, address(request))


def _give(found: Services, backups: Backups, host: str, held: bytes | None, where: str) -> Access:
    now = found.clock()
    with found.database.read() as connection:
        guest = _guest(records.find_guest(connection, host), host)
    place = backups.place_of(guest.id, guest.name)
    if held is not None and guest.token_hash is not None and compare_digest(held, guest.token_hash):
        return Access(repository=place.repository, user=guest.id, time=now)
    token, token_hash = new_token("hwb")
    with found.database.write() as connection:
        _guest(records.find_guest(connection, host), host)
        records.save_credential(connection, host, token_hash, now)
        detail = f"for the repository {place.repository}"
        if guest.token_hash is not None:
            detail += "; the one before it has ended"
        audit.append(connection, "backup.credential", actor=f"host:{host}", address=where, detail=detail, now=now)
    return Access(repository=place.repository, user=guest.id, password=token, time=now)


def _guest(found: records.Guest | None, host: str) -> records.Guest:
    """Another process may have revoked the host since its key was read."""
    if found is None or found.id != host:
        raise WireError("revoked", "this host was revoked; enrol it again to let it back up")
    return found


ENDPOINTS = (
    Endpoint(
        method="POST",
        path=BACKUP_ACCESS,
        access="signature",
        handler=give_access,
        body=Body(JSON_TYPE, AccessRequest),
        answer=Access,
        refusals={
            400: "`bad_request`: no such request.",
            401: "`bad_signature`, `unknown_host`, `clock_skew` (with home's time), `replayed`.",
            403: "`revoked`: the host was revoked.",
            404: "`no_backups`: this home keeps none.",
            413: "`too_large`.",
            503: "`busy`: try again after `Retry-After` seconds.",
        },
    ),
)
