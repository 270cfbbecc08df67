"""What the OpenAPI document says, tried on the served application with whatever it allows and forbids."""

from __future__ import annotations

import secrets
import time
from typing import Any

import msgspec
import pytest
import schemathesis
import zstandard
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from collector.api.openapi import document
from collector.api.routes import ENDPOINTS
from collector.auth import COOKIE
from tests.collector.support import REPORT_HEADERS, Host
from tests.web.conftest import Site
from wire.signature import public_text, sign

EXAMPLES = 25
"""Of each operation: the suite has bounded time."""
BOUNDED = settings(
    max_examples=EXAMPLES,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # shrinking would ask the server hundreds of times
)

schema: Any = schemathesis.openapi.from_dict(document(ENDPOINTS))
OPERATIONS = {f"{endpoint.method} {endpoint.path}": endpoint for endpoint in ENDPOINTS}
SIGNED = {endpoint.path for endpoint in ENDPOINTS if endpoint.access == "signature"}


@pytest.fixture(scope="session")
def reporter(site: Site) -> Host:
    """A host that is enrolled there and has reported."""
    host = site.host("described")
    assert host.send().status_code == 200
    return host


@pytest.fixture(scope="session")
def token(site: Site) -> str:
    """Of an administrator, who may everything."""
    return site.real.made("api-token", "create", "--role", "admin")


def is_empty(query: dict[str, Any]) -> bool:
    """A range that ends before it begins, which no schema can say."""
    end = float(query.get("end", time.time()))
    return float(query.get("start", end - 1)) >= end


def placed(record: dict[str, Any]) -> None:
    """Have each host of a rollout in one wave, which no schema can say."""
    seen: set[str] = set()
    for wave in record["waves"]:
        wave["hosts"] = [host for host in dict.fromkeys(wave["hosts"]) if host in record["hosts"].keys() - seen]
        seen.update(wave["hosts"])
    record["hosts"] = {host: one for host, one in record["hosts"].items() if host in seen}


POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
# Where there is nothing to say, nothing can be said wrongly.
CASES = [
    (name, mode)
    for name, endpoint in OPERATIONS.items()
    for mode in ([POSITIVE, NEGATIVE] if endpoint.parameters else [POSITIVE])
    if endpoint.path not in SIGNED
]


@pytest.mark.parametrize(("name", "mode"), CASES, ids=[f"{name} {mode.value}" for name, mode in CASES])
def test_the_server_does_what_its_document_says(
    site: Site, reporter: Host, token: str, name: str, mode: schemathesis.GenerationMode
) -> None:
    """Every check of schemathesis: statuses, shapes and headers as described, and what is wrong is refused."""
    endpoint = OPERATIONS[name]
    operation = schema[endpoint.path][endpoint.method]

    @BOUNDED
    @given(operation.as_strategy(generation_mode=mode))
    def try_it(case: schemathesis.Case) -> None:
        # It also makes up sessions, and takes an answer for one of these; but the token was right.
        case.cookies.pop(COOKIE, None)
        assume(mode is NEGATIVE or not is_empty(case.query))
        if mode is POSITIVE and name == "PUT /api/v1/rollouts/{rollout}":
            placed(case.body)
        case.call_and_validate(
            base_url=site.real.url,
            verify=str(site.real.folder / "ca.pem"),
            headers={"Authorization": f"Bearer {token}"},
        )

    try_it()


@pytest.mark.parametrize("path", sorted(SIGNED))
def test_what_a_host_signs_is_answered_as_the_document_says(site: Site, reporter: Host, path: str) -> None:
    """Whatever document it signs that has the described shape: taken, or refused as described, and never a fault."""
    operation = schema[path]["POST"]

    @BOUNDED
    @given(operation.as_strategy(generation_mode=POSITIVE))
    def try_it(case: schemathesis.Case) -> None:
        body = msgspec.json.encode(case.body)
        key_id, headers = public_text(reporter.key), {"Content-Type": "application/json"}
        if path.endswith("/reports"):
            body, key_id, headers = zstandard.compress(body), reporter.id, dict(REPORT_HEADERS)
        nonce = secrets.token_urlsafe(16)
        signed = sign(reporter.key, "POST", path, body, created=int(time.time()), nonce=nonce, key_id=key_id)
        answer = site.client.post(path, content=body, headers={**headers, **signed})
        assert answer.status_code < 500 or answer.json()["error"]["code"] == "busy"
        operation.validate_response(answer)

    try_it()


@BOUNDED
@given(cookie=st.text(), body=st.binary(max_size=2000), query=st.text(max_size=200))
def test_any_cookie_form_and_query_get_an_answer(site: Site, cookie: str, body: bytes, query: str) -> None:
    """A page, a refusal or the login, and never a fault."""
    headers = {
        "Cookie": f"{COOKIE}={cookie}".encode().translate(None, bytes([*range(32), 127])).strip(),
        "Content-Type": "application/x-www-form-urlencoded",
        "Sec-Fetch-Site": "same-origin",
    }
    for method, path in (("POST", "/logout"), ("GET", "/"), ("GET", "/login"), ("GET", "/hosts/described/charts")):
        answer = site.client.request(
            method, path, params={"next": query, "q": query, "range": query}, headers=headers, content=body
        )
        assert answer.status_code < 500
    site.client.cookies.clear()
