"""Where hosts report, and where they become known."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from secrets import token_hex

from sqlalchemy import Connection
from starlette.requests import Request

from collector.api.endpoint import Body, Endpoint, read_body, target
from collector.api.problems import ApiError
from collector.credentials import hash_token
from collector.rules.intake import HostRecord
from collector.services import services
from collector.store import enrolment, hosts
from wire import limits
from wire.codec import decode_enrolment
from wire.errors import WireError
from wire.protocol import ENROLL, JSON_TYPE, REPORT_ENCODING, REPORT_TYPE, REPORTS
from wire.report import Enrolled, Enrolment, Reply, Report
from wire.signature import load_public_key, parse, verify

MAX_ENROLMENT = 1 << 16
"""Bytes: a token, a name, a key and at most a hundred facts."""


async def take_report(request: Request) -> Reply:
    """Take a host's report.

    The body is the report in JSON, compressed with Zstandard. The request is signed with the host's key by HTTP
    Message Signatures (RFC 9421). The answer is given once the report is committed; one that was committed before
    is answered with `duplicate` and changes nothing.
    """
    headers = request.headers
    if (headers.get("content-type"), headers.get("content-encoding")) != (REPORT_TYPE, REPORT_ENCODING):
        raise WireError("bad_request", f"a report is sent as {REPORT_TYPE} with Content-Encoding: {REPORT_ENCODING}")
    ingest = services(request).ingest
    claim = await ingest.expect(headers)
    body = await read_body(request, limits.MAX_BODY)
    return await ingest.take(claim, target(request), body)


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

    def work() -> Enrolled:
        with found.database.write() as connection:
            return _enroll(connection, asked, bytes(key), found.clock())

    return await asyncio.to_thread(work)


def _enroll(connection: Connection, asked: Enrolment, key: bytes, now: float) -> Enrolled:
    token_hash = hash_token(asked.token)
    token = enrolment.find_token(connection, token_hash)
    if token is None:
        raise ApiError(
            HTTPStatus.UNAUTHORIZED,
            "token_unknown",
            "The enrolment token is not known here; `hostward-collector token create` makes one.",
        )
    same = hosts.active_by_key(connection, key)
    if token.used is not None:
        if same is not None and same.id == token.host:
            return Enrolled(host=same.id, name=same.name, time=now)
        raise ApiError(
            HTTPStatus.FORBIDDEN,
            "token_used",
            "The enrolment token was used before; `hostward-collector token create` makes a new one.",
        )
    if token.expires <= now:
        raise ApiError(
            HTTPStatus.FORBIDDEN,
            "token_expired",
            "The enrolment token has expired; `hostward-collector token create` makes a new one.",
        )
    namesake = hosts.find_active(connection, asked.name)
    if namesake is not None and (same is None or namesake.id != same.id):
        raise ApiError(
            HTTPStatus.CONFLICT,
            "name_taken",
            f"A host named {asked.name} is enrolled already. If this host takes its place, run "
            f"`hostward-collector host revoke {asked.name}` first; else give this one another name.",
        )
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
    else:
        host = same.id
        hosts.rename(connection, host, asked.name)
    enrolment.use_token(connection, token_hash, now=now, host=host)
    return Enrolled(host=host, name=asked.name, time=now)


ENDPOINTS = (
    Endpoint(
        method="POST",
        path=REPORTS,
        access="signature",
        handler=take_report,
        body=Body(REPORT_TYPE, Report),
        answer=Reply,
        refusals={
            400: "`bad_request`, `malformed_report`: not a report.",
            401: "`bad_signature`, `unknown_host`, `clock_skew` (with home's time), `replayed`.",
            403: "`revoked`: the host was revoked.",
            413: "`too_large`: over a limit of size.",
            422: "`unsupported_version`: of a version that this home does not read yet.",
            503: "`busy`: try again after `Retry-After` seconds.",
        },
    ),
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
