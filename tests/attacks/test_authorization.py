"""Who may what: every route of the application, tried by everybody."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from starlette.routing import Route

from collector.api.routes import ENDPOINTS
from collector.audit import Strangers
from collector.auth import COOKIE, Auth
from collector.credentials import hash_password, new_token
from collector.store import accounts
from collector.store.accounts import ROLES, Role
from collector.web.routes import PAGES
from tests.collector.support import Home, Host
from tests.collector.support import home as home_in
from wire.signature import sign

RULES: dict[tuple[str, str], str] = {
    ("POST", "/api/v1/reports"): "signature",
    ("POST", "/api/v1/enroll"): "signature",
    ("POST", "/api/v1/backup-access"): "signature",
    ("GET", "/api/v1/hosts"): "viewer",
    ("GET", "/api/v1/hosts/{host}"): "viewer",
    ("GET", "/api/v1/hosts/{host}/logs"): "viewer",
    ("GET", "/api/v1/hosts/{host}/readings"): "viewer",
    ("GET", "/api/v1/hosts/{host}/backups"): "viewer",
    ("GET", "/api/v1/hosts/{host}/backups/runs"): "viewer",
    ("GET", "/api/v1/hosts/{host}/drills"): "viewer",
    ("GET", "/api/v1/backups"): "viewer",
    ("GET", "/api/v1/drills"): "viewer",
    ("PUT", "/api/v1/hosts/{host}/groups"): "operator",
    ("GET", "/api/v1/hosts/{host}/packages"): "viewer",
    ("GET", "/api/v1/windows"): "viewer",
    ("POST", "/api/v1/windows"): "operator",
    ("PUT", "/api/v1/windows/{window}"): "operator",
    ("DELETE", "/api/v1/windows/{window}"): "operator",
    ("PUT", "/api/v1/leases/{lease}"): "operator",
    ("DELETE", "/api/v1/leases/{lease}"): "operator",
    ("GET", "/api/v1/rollouts"): "viewer",
    ("GET", "/api/v1/rollouts/{rollout}"): "viewer",
    ("PUT", "/api/v1/rollouts/{rollout}"): "operator",
    ("GET", "/api/v1/audit"): "admin",
    ("GET", "/api/v1/openapi.json"): "anyone",
    ("GET", "/healthz"): "anyone",
    ("GET", "/readyz"): "anyone",
    ("GET", "/"): "viewer",
    ("GET", "/hosts/{host}"): "viewer",
    ("GET", "/hosts/{host}/charts"): "viewer",
    ("GET", "/backups"): "viewer",
    ("GET", "/rollouts"): "viewer",
    ("GET", "/rollouts/{rollout}"): "viewer",
    ("GET", "/hosts/{host}/backups"): "viewer",
    ("GET", "/hosts/{host}/updates"): "viewer",
    ("POST", "/hosts/{host}/backups/forget"): "operator",
    ("GET", "/hosts/{host}/backups/snapshots"): "operator",
    ("GET", "/hosts/{host}/backups/snapshots/{snapshot}"): "operator",
    ("GET", "/hosts/{host}/backups/snapshots/{snapshot}/download"): "operator",
    ("GET", "/login"): "anyone",
    ("POST", "/login"): "anyone",
    ("POST", "/logout"): "anyone",
    ("GET", "/static/{fingerprint}/{name:path}"): "anyone",
}
"""What is meant, written down a second time: whoever opens a route to more people changes it here as well."""


@dataclass
class Everybody:
    """A home with all kinds of people, and what each of them sends."""

    home: Home
    headers: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everybody]:
    """Made once: passwords take a while."""
    with home_in(tmp_path_factory.mktemp("everybody")) as home:
        host = Host(home.client, home.clock)
        assert host.enroll(home.token()).status_code == 200
        headers: dict[str, dict[str, str]] = {"nobody": {}}
        for role in ROLES:
            headers[f"token of {role}"] = home.bearer(role)
            headers[f"session of {role}"] = {"Cookie": f"{COOKIE}={session(home, role)}"}
        headers["revoked token"] = token(home, "admin", revoked=True)
        headers["expired token"] = token(home, "admin", expires=home.clock() - 1)
        ended = session(home, "admin", name="gone")
        with home.database.write() as connection:
            found = accounts.find_account(connection, "gone")
            assert found is not None
            accounts.delete_account(connection, found.id)
        headers["session of a user who was deleted"] = {"Cookie": f"{COOKIE}={ended}"}
        headers["host's key"] = sign(
            host.key,
            "GET",
            "/api/v1/hosts",
            b"",
            created=int(home.clock()),
            nonce=secrets.token_urlsafe(16),
            key_id=host.id,
        )
        yield Everybody(home, headers)


def session(home: Home, role: Role, name: str | None = None) -> str:
    """Of a new user with this role."""
    name = name or role
    with home.database.write() as connection:
        accounts.add_account(connection, name, hash_password("long enough"), role, home.clock())
    opened = asyncio.run(Auth(home.database, home.clock, Strangers()).login(name, "long enough", "192.0.2.1"))
    assert opened is not None
    return opened


def token(home: Home, role: Role, *, expires: float | None = None, revoked: bool = False) -> dict[str, str]:
    """One that was good once."""
    made, token_hash = new_token("hwa")
    token_id = secrets.token_hex(4)
    with home.database.write() as connection:
        accounts.add_api_token(
            connection, token_id, token_hash, role=role, description="", now=home.clock(), expires=expires
        )
        if revoked:
            accounts.delete_api_token(connection, token_id)
    return {"Authorization": f"Bearer {made}"}


def test_every_route_has_a_rule_and_every_rule_a_route(everybody: Everybody) -> None:
    """A route that is added without one fails here."""
    served = set()
    for route in everybody.home.app.routes:
        assert isinstance(route, Route), f"{route} is of a kind that this test cannot look into"
        served |= {(method, route.path) for method in (route.methods or set()) - {"HEAD"}}
    declared = {(one.method, one.path): one.access for one in (*ENDPOINTS, *PAGES)}
    assert served == set(declared)
    assert declared == RULES


WHO = [
    "nobody",
    *(f"{kind} of {role}" for role in ROLES for kind in ("token", "session")),
    "revoked token",
    "expired token",
    "session of a user who was deleted",
    "host's key",
]


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(("method", "path"), RULES, ids=lambda part: str(part))
def test_everybody_gets_what_the_rule_says(everybody: Everybody, method: str, path: str, who: str) -> None:
    """401 or the login page for who is not known, 403 for who is and may not, and else what is there."""
    access = RULES[method, path]
    where = path.replace("{host}", "web1").replace("{fingerprint}/{name:path}", "x/app.css")
    headers = everybody.headers[who] | ({"Origin": "https://home.test"} if method != "GET" else {})
    if path == "/logout" and "Cookie" in headers:
        headers["Cookie"] = f"{COOKIE}=hws_gone"  # the others still need the sessions
    answer = everybody.home.client.request(method, where, headers=headers)
    everybody.home.client._client.cookies.clear()
    if path == "/logout":
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        return
    if access == "signature":
        assert answer.status_code in (400, 401)  # nothing of it is a host's signature of this request
        return
    known = who.rpartition(" of ")[2]
    # Pages are for people in browsers: no token opens them.
    page = (method, path) in {(one.method, one.path) for one in PAGES}
    # What changes something by the API is for programs: no browser is made to ask for it.
    by_token = method != "GET" and not page
    if path == "/login":
        assert answer.status_code in ((401, 429) if method == "POST" else (200, 303))
    elif access == "anyone":
        assert answer.status_code == 200
    elif known not in ROLES or (page and who.startswith("token")) or (by_token and who.startswith("session")):
        assert answer.status_code == (303 if page and not path.endswith("/charts") else 401)
        assert answer.headers.get("location", "/login").startswith("/login")
    elif ROLES.index(known) < ROLES.index(access):  # type: ignore[arg-type]  # both are roles here
        assert answer.status_code == 403
    elif "{snapshot}" in path or "{rollout}" in path or by_token or path.endswith(("/forget", "/packages")):
        # Whoever may is told that there is no such thing, or that nothing was said, or led back to where it would be.
        assert answer.status_code in (303, 404, 422)
        assert not answer.headers.get("location", "").startswith("/login")
    else:
        assert answer.status_code == 200
