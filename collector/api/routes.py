"""Every endpoint of the API, and the document that describes them."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from collector.api import (
    audit,
    backup_access,
    backups,
    enrolment,
    groups,
    health,
    hosts,
    logs,
    reports,
    rollouts,
    windows,
)
from collector.api.endpoint import Endpoint
from collector.api.openapi import document


async def show_openapi(request: Request) -> dict[str, Any]:
    """Give this document."""
    return _document


ENDPOINTS: tuple[Endpoint, ...] = (
    *reports.ENDPOINTS,  # first, because routes are tried in turn and most requests are reports
    *enrolment.ENDPOINTS,
    *backup_access.ENDPOINTS,
    *hosts.ENDPOINTS,
    *groups.ENDPOINTS,
    *windows.ENDPOINTS,
    *rollouts.ENDPOINTS,
    *logs.ENDPOINTS,
    *backups.ENDPOINTS,
    *audit.ENDPOINTS,
    *health.ENDPOINTS,
    Endpoint(method="GET", path="/api/v1/openapi.json", access="anyone", handler=show_openapi, answer=dict[str, Any]),
)
_document = document(ENDPOINTS)

ROUTES = [endpoint.route() for endpoint in ENDPOINTS]
