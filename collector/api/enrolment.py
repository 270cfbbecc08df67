"""Where hosts become known: once per token, and again only for themselves."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from secrets import token_hex

from sqlalchemy import Connection
from starlette.requests import Request

from collector import audit
from collector.api.endpoint import Body, Endpoint, address, read_body, target
from collector.api.problems import ApiError
from collector.audit import Strangers
from collector.credentials import hash_token
from collector.rules.intake import HostRecord
from collector.services import Services, services
from collector.store import enrolment, hosts
from collector.store.enrolment import EnrolmentToken
from wire.codec import decode_enrolment
from wire.errors import WireError
from wire.protocol import ENROLL, JSON_TYPE
from wire.report import Enrolled, Enrolment, Event
from wire.signature import load_public_key, parse, verify

MAX_ENROLMENT = 1 << 16
"""Bytes: a token, a name, a key and at most a hundred facts."""
REMIND = 3600.0
"""Seconds between two events that tell of a host's token in other hands."""
REUSED = "enrolment.reused"
"""The kind of these events."""

_MAKE = "`hostward-collector token create` makes"


async def enroll(request: Request) -> Enrolled:
    """Make a host known.

    The body holds a one-time token (`hostward-collector token create`) and the public key with which this request
    and all later ones of the host are signed. Who asks again with the same token and key gets the same answer.
    """
    found = services(request)
    if request.headers.get("content-type") != JSON_TYPE:
        raise WireError("bad_request", f"an enrolment is sent as {JSON_TYPE}")
    body = await read_body(request, MAX_ENROLMENT)
    claim = parse(request.headers)
    try:
        key = load_public_key(claim.key_id)
    except ValueError:
        raise WireError("bad_signature", "keyid is not an Ed25519 public key in base64") from None
    verify(claim, key, "POST", target(request), body, now=found.clock())
    asked = decode_enrolment(body)
    if asked.public_key != claim.key_id:
        raise WireError("bad_request", "the enrolment announces another key than the one that signed it")
    outcome = await asyncio.to_thread(_take, found, asked, bytes(key), address(request))
    if isinstance(outcome, ApiError):
        raise outcome
    return outcome


def _take(found: Services, asked: Enrolment, key: bytes, where: str) -> Enrolled | ApiError:
    """The answer; what a refusal leaves in the audit log is committed as well."""
    token_hash = hash_token(asked.token)
    with found.database.read() as connection:
        known = enrolment.find_token(connection, token_hash)
    if known is None:  # known before anything is locked: strangers must not hold up those who report
        return ApiError(
            HTTPStatus.UNAUTHORIZED, "token_unknown", f"The enrolment token is not known here; {_MAKE} one."
        )
    with found.database.write() as connection:
        return _enroll(connection, asked, token_hash, key, where, found.clock(), found.strangers)


def _enroll(
    connection: Connection,
    asked: Enrolment,
    token_hash: bytes,
    key: bytes,
    where: str,
    now: float,
    strangers: Strangers,
) -> Enrolled | ApiError:
    token = enrolment.find_token(connection, token_hash)
    assert token is not None  # one that is known goes a month after its end at the earliest
    same = hosts.active_by_key(connection, key)
    if same is not None and token.host == same.id:
        return Enrolled(host=same.id, name=same.name, time=now)
    refused = _refusal(connection, asked, token, same, now)
    if refused is not None:
        subject = f"host:{token.host}" if token.host else ""
        detail = f"{refused.code}: asked as {asked.name}"
        strangers.append(connection, "enrolment.refused", now=now, subject=subject, address=where, detail=detail)
        if token.host is not None:
            _warn(connection, token.host, where, now)
        return refused
    if same is None:
        host = token_hex(8)
        record = HostRecord(
            id=host,
            name=asked.name,
            enrolled=now,
            agent=asked.agent,
            facts=asked.facts,
            since=now,
            message="Enrolled; no report has come yet.",
        )
        hosts.add_host(connection, record, key)
        audit.append(
            connection, "host.enrolled", actor=f"host:{host}", address=where, detail=f"as {asked.name}", now=now
        )
    else:
        host = same.id
        hosts.rename(connection, host, asked.name)
        detail = f"enrolled again, from {same.name} to {asked.name}"
        audit.append(connection, "host.renamed", actor=f"host:{host}", address=where, detail=detail, now=now)
    enrolment.use_token(connection, token_hash, now=now, host=host)
    message = f"Enrolled as {asked.name} from {where or 'an address that is not known'}."
    event = Event(time=now, kind="host.enrolled", message=message)
    hosts.add_intake(connection, hosts.Intake(events=[(host, event)]))
    return Enrolled(host=host, name=asked.name, time=now)


def _refusal(
    connection: Connection, asked: Enrolment, token: EnrolmentToken, same: HostRecord | None, now: float
) -> ApiError | None:
    if token.used is not None:
        return ApiError(
            HTTPStatus.FORBIDDEN, "token_used", f"The enrolment token was used before; {_MAKE} a new one."
        )
    if token.expires <= now:
        return ApiError(HTTPStatus.FORBIDDEN, "token_expired", f"The enrolment token has expired; {_MAKE} a new one.")
    namesake = hosts.find_namesake(connection, asked.name)
    if namesake is not None and (same is None or namesake.id != same.id):
        return ApiError(
            HTTPStatus.CONFLICT,
            "name_taken",
            f"A host named {namesake.name} is enrolled already. If this host takes its place, run "
            f"`hostward-collector host revoke {namesake.name}` first; else give this one another name.",
        )
    return None


def _warn(connection: Connection, host: str, where: str, now: float) -> None:
    """On the page of the host that used the token, once in a while: somebody else has it too."""
    recent = hosts.recent_events(connection, host, hosts.KEPT_EVENTS)
    if any(event.kind == REUSED and event.time > now - REMIND for event in recent):
        return
    message = f"The token with which this host enrolled was tried again by another key from {where}."
    event = Event(time=now, kind=REUSED, message=message, state="warning")
    hosts.add_intake(connection, hosts.Intake(events=[(host, event)]))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path=ENROLL,
        access="signature",
        handler=enroll,
        body=Body(JSON_TYPE, Enrolment),
        answer=Enrolled,
        refusals={
            400: "`bad_request`: not an enrolment.",
            401: "`bad_signature`, `clock_skew` (with home's time), `token_unknown`.",
            403: "`token_used`, `token_expired`.",
            409: "`name_taken`: another host of this name is enrolled.",
            413: "`too_large`: over a limit of size.",
            422: "`unsupported_version`: of a version that this home does not read yet.",
        },
    ),
)
