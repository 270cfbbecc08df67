"""Who may use what, and what everybody else is told: one shape for every error."""

from __future__ import annotations

import asyncio
import re
from typing import cast

import httpx
import pytest

from collector.api.endpoint import Endpoint
from collector.api.routes import ENDPOINTS
from collector.audit import Strangers
from collector.auth import COOKIE, Auth
from collector.credentials import hash_password
from collector.store import accounts
from collector.store.accounts import Role
from tests.collector.support import Home

ASKING = [endpoint for endpoint in ENDPOINTS if endpoint.access not in ("anyone", "signature")]
SIGNED = [endpoint for endpoint in ENDPOINTS if endpoint.access == "signature"]


def path(template: str) -> str:
    """With something in the place of its parameters."""
    return re.sub(r"\{\w+\}", "nobody", template)


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of the one shape."""
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "message", "permanent", "time"}
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize("endpoint", ASKING, ids=lambda endpoint: endpoint.path)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer hwa_wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"Cookie": f"{COOKIE}=wrong"},
    ],
    ids=["nothing", "wrong token", "no token", "a password", "wrong session"],
)
def test_who_is_not_known_gets_nothing(home: Home, endpoint: Endpoint, headers: dict[str, str]) -> None:
    """No route can be forgotten: the list is the application's own."""
    ours = {"Sec-Fetch-Site": "same-origin", **headers}
    answer = home.client.request(endpoint.method, path(endpoint.path), headers=ours)
    assert problem(answer) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_a_nul_character_is_nowhere_taken(home: Home, endpoint: Endpoint) -> None:
    """Not in a path, a parameter or a body, whatever the database could hold."""
    bearer = home.bearer("admin")
    if "{" in endpoint.path:
        target = re.sub(r"\{\w+\}", "a%00b", endpoint.path)
        assert problem(home.client.request(endpoint.method, target, headers=bearer))[0] == 404
    target = path(endpoint.path) + "?limit=1&name=%00"
    assert problem(home.client.request(endpoint.method, target, headers=bearer)) == (422, "bad_parameter")
    if endpoint.body is not None and endpoint.access != "signature":
        body = rb'{"id": "a\u0000b", "holder": "\u0000"}'
        found = home.client.request(endpoint.method, path(endpoint.path), headers=bearer, content=body)
        assert problem(found)[0] in (404, 422)


def test_a_nul_character_is_no_part_of_a_login(home: Home) -> None:
    """Nor of a page's address."""
    form = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    assert home.client.post("/login", content="name=a%00b&password=c%00d", headers=form).status_code == 400
    assert home.client.get("/hosts/a%00b").status_code == 404


@pytest.mark.parametrize("path", ["/api/v1/hosts/", "/healthz/", "/login/"])
def test_nobody_is_sent_where_the_host_header_says(home: Home, path: str) -> None:
    """A slash too many is an address where nothing is, and no redirect."""
    answer = home.client.get(path, headers={"Host": "evil.test"})
    assert answer.status_code == 404
    assert "location" not in answer.headers


@pytest.mark.parametrize("endpoint", ASKING, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_who_has_the_role_may_and_others_may_not(home: Home, endpoint: Endpoint) -> None:
    """404 for a host that is not there; 422 for a body that is none."""
    least = accounts.ROLES.index(cast(Role, endpoint.access))
    for rank, role in enumerate(accounts.ROLES):
        answer = home.client.request(endpoint.method, path(endpoint.path), headers=home.bearer(role))
        assert answer.status_code in ((200, 404, 422) if rank >= least else (403,))


@pytest.mark.parametrize("endpoint", SIGNED, ids=lambda endpoint: endpoint.path)
def test_an_api_token_is_no_signature(home: Home, endpoint: Endpoint) -> None:
    """What hosts do takes a host's key."""
    headers = {**home.bearer("admin"), "Content-Type": "application/json"}
    answer = home.client.post(endpoint.path, headers=headers, content=b"{}")
    assert problem(answer)[0] in (400, 401)


def test_a_session_reads_the_api_as_a_token_does(home: Home) -> None:
    """The pages use it too."""
    with home.database.write() as connection:
        accounts.add_account(connection, "anna", hash_password("long enough"), "viewer", home.clock())
    token = asyncio.run(login(home))
    answer = home.client.get("/api/v1/hosts", headers={"Cookie": f"{COOKIE}={token}"})
    assert (answer.status_code, answer.json()) == (200, {"hosts": []})


async def login(home: Home) -> str | None:
    """Of anna."""
    return await Auth(home.database, home.clock, Strangers()).login("anna", "long enough", "192.0.2.1")


@pytest.mark.parametrize(
    ("method", "where", "expected"),
    [
        ("GET", "/api/v1/nothing", (404, "not_found")),
        ("GET", "/api", (404, "not_found")),
        ("GET", "/api/v1/hosts/nobody", (404, "not_found")),
        ("GET", "/api/v1/hosts/nobody/readings", (404, "not_found")),
        ("POST", "/api/v1/hosts", (405, "method_not_allowed")),
        ("DELETE", "/api/v1/hosts/nobody", (405, "method_not_allowed")),
        ("GET", "/api/v1/reports", (405, "method_not_allowed")),
        ("GET", "/api/v1/hosts/nobody/readings?end=x", (422, "bad_parameter")),
        ("GET", "/api/v1/hosts/nobody/readings?end=nan", (422, "bad_parameter")),
        ("GET", "/api/v1/hosts/nobody/readings?start=-1", (422, "bad_parameter")),
        ("GET", "/api/v1/hosts/nobody/readings?start=5&end=5", (422, "bad_parameter")),
        ("GET", "/api/v1/hosts/nobody/readings?step=0", (422, "bad_parameter")),
        ("GET", "/api/v1/hosts/nobody/readings?setp=5", (422, "bad_parameter")),
        ("GET", "/api/v1/hosts/nobody/readings?name=a&name=b", (422, "bad_parameter")),
    ],
)
def test_every_error_has_the_one_shape(home: Home, method: str, where: str, expected: tuple[int, str]) -> None:
    """With a sentence that says what was expected."""
    answer = home.client.request(method, where, headers=home.bearer())
    assert problem(answer) == expected
    assert answer.json()["error"]["message"].endswith(".")


def test_what_nobody_foresaw_is_logged_and_told_without_its_insides(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """A table that is gone gives a 500 of the same shape, and the log has the reason."""
    bearer = home.bearer()
    with home.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE hosts RENAME TO gone")
    answer = home.client.get("/api/v1/hosts", headers=bearer)
    assert problem(answer) == (500, "internal")
    assert "hosts" not in answer.text
    assert "no such table: hosts" in caplog.text or 'relation "hosts" does not exist' in caplog.text
    assert answer.headers["content-security-policy"]


@pytest.mark.parametrize("where", ["/api/v1/hosts", "/api/v1/nothing", "/healthz", "/login", "/nothing"])
def test_every_answer_has_the_strict_headers(home: Home, where: str) -> None:
    """Errors too, and whatever the route sets itself."""
    headers = home.client.get(where).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["strict-transport-security"]


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://home.test"}, False),
        ({"Origin": "https://home.test"}, True),
        ({"Origin": "https://evil.test"}, False),
        ({"Origin": "http://home.test"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "null", "Host": ""}, False),
        ({"Origin": "http://[::1"}, False),
        ({"Origin": "https://home.test.evil.test"}, False),
        ({"Authorization": "Bearer x"}, True),
        ({"Authorization": "Bearer x", "Origin": "https://evil.test"}, False),
        ({}, False),
    ],
)
def test_what_another_sites_page_sends_is_refused(home: Home, headers: dict[str, str], passes: bool) -> None:
    """A request that changes something says where it comes from; 405 shows that it got through to the route."""
    answer = home.client.post("/api/v1/hosts", headers=headers)
    assert problem(answer) == ((405, "method_not_allowed") if passes else (403, "cross_origin"))


def test_health_needs_no_login(home: Home) -> None:
    """Balancers have none."""
    for where in ("/healthz", "/readyz"):
        answer = home.client.get(where)
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
