"""Every endpoint of the API, and the document that describes them."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from collector.api import audit, enrolment, health, hosts, logs, reports
from collector.api.endpoint import Endpoint
from collector.api.openapi import document


async def show_openapi(request: Request) -> dict[str, Any]:
    """Give this document."""
    return _document


ENDPOINTS: tuple[Endpoint, ...] = (
    *reports.ENDPOINTS,  # first, because routes are tried in turn and most requests are reports
    *enrolment.ENDPOINTS,
    *hosts.ENDPOINTS,
    *logs.ENDPOINTS,
    *audit.ENDPOINTS,
    *health.ENDPOINTS,
    Endpoint(method="GET", path="/api/v1/openapi.json", access="anyone", handler=show_openapi, answer=dict[str, Any]),
)
_document = document(ENDPOINTS)

ROUTES = [endpoint.route() for endpoint in ENDPOINTS]
