"""The OpenAPI document says what there is, all of it, in a form that tools read."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from collector.api.endpoint import Endpoint
from collector.api.routes import ENDPOINTS
from tests.collector.support import NOW, Home, Host
from wire.packages import Packages
from wire.rollout import HostRecord, RolloutRecord, WaveRecord

ROLLOUT = RolloutRecord(
    id="one",
    deploy="patch",
    inventory="inventory/example.py",
    who="ada@desk",
    hostward="0.1.0",
    state="done",
    started=NOW,
    waves=[WaveRecord(name="canary", state="done", hosts=["web1"])],
    hosts={"web1": HostRecord(state="done", wave=0)},
)


def document(home: Home) -> dict[str, Any]:
    """As it is served."""
    answer = home.client.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_the_document_is_valid(home: Home) -> None:
    """By the validator of the specification."""
    OpenAPIV31SpecValidator(document(home)).validate()


def test_every_route_under_api_is_an_endpoint(home: Home) -> None:
    """Nothing is served there that is not described, with its method."""
    served = {
        (method, route.path.replace(":path}", "}"))
        for route in home.app.routes
        if isinstance(route, Route) and route.path.startswith("/api")
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {
        (method.upper(), path)
        for path, item in document(home)["paths"].items()
        for method in item
        if path.startswith("/api")
    }
    assert served
    assert served == described


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_every_endpoint_says_what_it_does_who_may_use_it_and_what_its_path_holds(endpoint: Endpoint) -> None:
    """One without a description or a role fails here."""
    assert endpoint.summary.endswith(".")
    assert endpoint.access in ("viewer", "operator", "admin", "signature", "anyone")
    named = {parameter.name for parameter in endpoint.parameters if parameter.where == "path"}
    assert named == set(re.findall(r"{(\w+)(?::path)?}", endpoint.path))
    assert all(parameter.description for parameter in endpoint.parameters)


def test_the_document_says_who_may(home: Home) -> None:
    """Only what is meant for everybody has no security."""
    for path, item in document(home)["paths"].items():
        for operation in item.values():
            open_to_all = path in ("/healthz", "/readyz", "/api/v1/openapi.json")
            assert bool(operation["security"]) != open_to_all
            assert ("401" in operation["responses"]) != open_to_all


def test_answers_have_the_shape_that_the_document_gives(home: Home, host: Host) -> None:
    """Checked with a real host, by the schemas of the document itself."""
    host.send(host.report(packages=Packages(manager="apt")))
    told, path = msgspec.to_builtins(ROLLOUT), f"/api/v1/rollouts/{ROLLOUT.id}"
    assert home.client.request("PUT", path, json=told, headers=home.bearer("operator")).status_code == 200
    described = document(home)
    for path, item in described["paths"].items():
        if "get" not in item or path.endswith("openapi.json"):
            continue
        answer = home.client.get(path.format(host="web1", rollout=ROLLOUT.id), headers=home.bearer("admin"))
        assert answer.status_code == 200
        schema = item["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        OAS31Validator({**schema, "components": described["components"]}).validate(answer.json())
