"""The OpenAPI 3.1 document, made from the endpoints."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from collector.api.endpoint import Endpoint
from collector.auth import COOKIE
from kit.version import __version__
from wire.report import Refusal

REF = "#/components/schemas/{name}"
NO_NUL = r"^[^\x00]*$"
COMMON = {
    401: "`unauthorized`: neither a session nor a valid API token.",
    403: "`forbidden`: the role is not enough.",
}
"""Refusals of every endpoint that asks who it is."""
SIGNATURE = (
    "The request is signed with the host's Ed25519 key by HTTP Message Signatures (RFC 9421), over `@method`, "
    "`@request-target` and `content-digest`, in the headers `Signature-Input` and `Signature`."
)


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """What describes `endpoints`."""
    listed = list(endpoints)
    types = [Refusal, *(e.answer for e in listed), *(e.body.type for e in listed if e.body)]
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    schema_of = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in listed:
        path = endpoint.path
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hostward collector",
            "version": __version__,
            "description": "What the hosts of a fleet report, and how they stand. Times are seconds since the epoch.",
        },
        "paths": paths,
        "components": {
            "schemas": _without_nul(components),
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "A person's session."},
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`hostward-collector api-token create`.",
                },
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Signature",
                    "description": SIGNATURE,
                },
            },
        },
    }


def _without_nul(schema: Any) -> Any:
    """The same, where no text and no name has a NUL character: home takes none."""
    if isinstance(schema, list):
        return [_without_nul(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _without_nul(value) for key, value in schema.items()}
    if found.get("type") == "string" and not found.keys() & {"pattern", "format", "enum", "contentEncoding"}:
        found["pattern"] = NO_NUL
    if isinstance(found.get("additionalProperties"), dict):
        found["propertyNames"] = {"pattern": NO_NUL, **found.get("propertyNames", {})}
    return found


def _operation(endpoint: Endpoint, schema_of: dict[Any, Any]) -> dict[str, Any]:
    asks = endpoint.access not in ("anyone", "signature")
    refusals = {**(COMMON if asks else {}), **endpoint.refusals}
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", endpoint.handler.__name__),
        "summary": endpoint.summary,
        "description": endpoint.description + (f"\n\nTakes the role {endpoint.access}." if asks else ""),
        "security": _security(endpoint),
        "responses": {
            "200": {
                "description": "Done.",
                "content": {"application/json": {"schema": schema_of[endpoint.answer]}},
            },
            **{
                str(status): {
                    "description": f"{HTTPStatus(status).phrase}: {text}",
                    "content": {"application/json": {"schema": schema_of[Refusal]}},
                }
                for status, text in sorted(refusals.items())
            },
        },
    }
    if endpoint.parameters:
        operation["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.where,
                "required": parameter.required or parameter.where == "path",
                "description": parameter.description,
                "schema": _without_nul(parameter.schema),
                **parameter.style,
            }
            for parameter in endpoint.parameters
        ]
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {endpoint.body.media_type: {"schema": schema_of[endpoint.body.type]}},
        }
    return operation


def _security(endpoint: Endpoint) -> list[dict[str, list[str]]]:
    if endpoint.access == "anyone":
        return []
    if endpoint.access == "signature":
        return [{"signature": []}]
    return [{"session": []}, {"token": []}]
