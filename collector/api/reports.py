"""Where hosts report."""

from __future__ import annotations

from starlette.requests import Request

from collector.api.endpoint import Body, Endpoint, read_body, target
from collector.services import services
from wire import limits
from wire.errors import WireError
from wire.protocol import REPORT_ENCODING, REPORT_TYPE, REPORTS
from wire.report import Reply, Report


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
)
