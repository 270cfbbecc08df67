"""Windows, leases, groups, packages and rollouts, as administrators' programs ask for them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgspec
import pytest
from starlette.requests import Request

from collector.api import endpoint
from collector.audit import Strangers
from collector.auth import COOKIE, Auth
from collector.credentials import hash_password
from collector.store import accounts
from tests.collector.support import NOW, Home, Host
from wire.packages import Package, Packages, PendingUpdate
from wire.rollout import HostRecord, RolloutRecord, WaveRecord, misplaced

WINDOW = {"hosts": ["web1", "new1"], "reason": "patching", "duration": 600}


def asked(home: Home, method: str, path: str, body: Any = None, *, role: Any = "operator", status: int = 200) -> Any:
    """The answer, as JSON."""
    answer = home.client.request(method, path, json=body, headers=home.bearer(role))
    assert answer.status_code == status, answer.text
    return answer.json()


def acts(home: Home) -> list[tuple[str, str]]:
    """What the audit log tells, with details."""
    entries = asked(home, "GET", "/api/v1/audit", role="admin")["entries"]
    return [(entry["act"], entry["detail"]) for entry in entries]


def test_a_window_is_for_its_hosts_until_it_is_closed_or_its_time_is_over(home: Home, host: Host) -> None:
    """The host hears of it with its next report, pages and API show it, and the audit log has who did what."""
    asked(home, "POST", "/api/v1/windows", {**WINDOW, "reason": "a NUL \0 here"}, status=422)
    window = asked(home, "POST", "/api/v1/windows", {**WINDOW, "unasked": "\0"})
    assert (window["opened"], window["until"], window["closed"]) == (NOW, NOW + 600, None)
    assert host.send().json()["window"] == {"until": NOW + 600, "reason": "patching"}
    assert asked(home, "GET", "/api/v1/hosts")["hosts"][0]["window"]["reason"] == "patching"
    changed = asked(home, "PUT", f"/api/v1/windows/{window['id']}", {**WINDOW, "hosts": ["new1"], "duration": 60})
    assert (changed["hosts"], changed["until"]) == (["new1"], NOW + 60)
    assert host.send().json()["window"] is None
    asked(home, "PUT", f"/api/v1/windows/{window['id']}", {**WINDOW, "duration": 120})
    home.clock.now += 121
    assert host.send().json()["window"] is None
    assert asked(home, "GET", "/api/v1/windows")["windows"] == []
    assert len(asked(home, "GET", "/api/v1/windows?all=true")["windows"]) == 1
    for method, body in (("PUT", WINDOW), ("DELETE", None)):
        said = asked(home, method, f"/api/v1/windows/{window['id']}", body, status=404)
        assert said["error"]["code"] == "not_found"
    second = asked(home, "POST", "/api/v1/windows", WINDOW)
    asked(home, "DELETE", f"/api/v1/windows/{second['id']}")
    assert host.send().json()["window"] is None
    told = [act for act, _ in acts(home) if act.startswith("window.")]
    assert sorted(told) == ["window.changed", "window.changed", "window.closed", "window.opened", "window.opened"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**WINDOW, "hosts": []},
        {**WINDOW, "duration": 0},
        {**WINDOW, "duration": 1e9},
        {**WINDOW, "reason": "x" * 5000},
        [],
    ],
)
def test_what_is_no_window_is_refused(home: Home, body: Any) -> None:
    """Nothing is opened."""
    assert asked(home, "POST", "/api/v1/windows", body, status=422)["error"]["code"] == "bad_body"
    assert asked(home, "GET", "/api/v1/windows?all=true")["windows"] == []


def test_what_changes_something_takes_an_operators_token(home: Home) -> None:
    """A viewer's will not do, and neither will a browser's session."""
    paths = [
        ("POST", "/api/v1/windows"),
        ("PUT", "/api/v1/windows/x"),
        ("DELETE", "/api/v1/windows/x"),
        ("PUT", "/api/v1/leases/reboot"),
        ("DELETE", "/api/v1/leases/reboot?holder=x"),
        ("PUT", "/api/v1/rollouts/x"),
        ("PUT", "/api/v1/hosts/web1/groups"),
    ]
    with home.database.write() as connection:
        accounts.add_account(connection, "anna", hash_password("long enough"), "admin", home.clock())
    session = asyncio.run(Auth(home.database, home.clock, Strangers()).login("anna", "long enough", "192.0.2.1"))
    page = {"Cookie": f"{COOKIE}={session}", "Sec-Fetch-Site": "same-origin"}
    assert home.client.get("/api/v1/windows", headers=page).status_code == 200
    for method, path in paths:
        asked(home, method, path, {}, role="viewer", status=403)
        answer = home.client.request(method, path, json={}, headers=page)
        assert answer.status_code == 401


def test_a_lease_has_so_many_places_and_each_ends_by_itself(home: Home) -> None:
    """Whoever holds one may keep it; the next gets it when it is given back, or when its time is over."""
    path = "/api/v1/leases/reboot"
    body = {"places": 1, "duration": 60}
    asked(home, "PUT", path, {**body, "holder": "run-1/web1"})
    said = asked(home, "PUT", path, {**body, "holder": "run-2/web2"}, status=409)
    assert said["error"]["code"] == "taken"
    home.clock.now += 50
    assert asked(home, "PUT", path, {**body, "holder": "run-1/web1"})["until"] == NOW + 110
    home.clock.now += 50
    asked(home, "PUT", path, {**body, "holder": "run-2/web2"}, status=409)
    asked(home, "PUT", path, {**body, "holder": "run-2/web2", "places": 2})
    asked(home, "DELETE", f"{path}?holder=run-1/web1")
    asked(home, "DELETE", f"{path}?holder=run-1/web1")
    asked(home, "PUT", path, {**body, "holder": "run-3/web3"}, status=409)
    home.clock.now += 61
    asked(home, "PUT", path, {**body, "holder": "run-3/web3"})


def test_groups_tags_and_packages_are_what_inventories_ask_for(home: Home, host: Host) -> None:
    """Set whole, shown with the host, and on record when they change."""
    said = {"groups": ["web", "shop", "web"], "tags": {"zone": "a"}}
    for _ in range(2):
        assert asked(home, "PUT", "/api/v1/hosts/web1/groups", said) == {
            "groups": ["shop", "web"],
            "tags": {"zone": "a"},
        }
    assert [detail for act, detail in acts(home) if act == "host.grouped"] == ["web1: shop, web, zone=a"]
    asked(home, "PUT", "/api/v1/hosts/nobody/groups", said, status=404)
    asked(home, "PUT", "/api/v1/hosts/web1/groups", {"groups": ["a b"]}, status=422)
    assert asked(home, "GET", "/api/v1/hosts/web1/packages", status=404)["error"]["code"] == "no_packages"
    row = asked(home, "GET", "/api/v1/hosts")["hosts"][0]
    assert (row["groups"], row["tags"], row["updates"]) == (["shop", "web"], {"zone": "a"}, None)

    pending = [PendingUpdate("libc6", "1", "2", False, NOW - 900), PendingUpdate("openssl", "1", "2", True, NOW - 90)]
    told = Packages(manager="apt", installed=[Package("openssl", "1", "amd64", True)], pending=pending)
    assert host.send(host.report(packages=told)).status_code == 200
    found = asked(home, "GET", "/api/v1/hosts/web1/packages")
    assert msgspec.convert(found["packages"], Packages) == told
    assert asked(home, "GET", "/api/v1/hosts")["hosts"][0]["updates"] == {
        "pending": 2,
        "security": 1,
        "since": NOW - 90,
    }
    assert host.send(host.report()).status_code == 200
    assert asked(home, "GET", "/api/v1/hosts/web1/packages") == found
    host.send(host.report(packages=Packages(manager="apt", pending=None)))
    assert asked(home, "GET", "/api/v1/hosts")["hosts"][0]["updates"] is None


def test_a_rollout_is_told_whole_each_time_and_kept(home: Home) -> None:
    """The list has its counts; the audit log its beginning and its end."""
    record = RolloutRecord(
        id="20261122-031500-a1b2c3",
        deploy="patch",
        inventory="inventory/example.py",
        who="ada@desk",
        hostward="0.1.0",
        state="running",
        started=NOW,
        waves=[
            WaveRecord(name="canary", state="running", hosts=["web1"]),
            WaveRecord(name="batch 1", state="waiting", hosts=["web2"]),
        ],
        hosts={
            "web1": HostRecord(state="running", wave=0, before={"shop": "1.0"}),
            "web2": HostRecord(state="waiting", wave=1),
        },
    )
    path = f"/api/v1/rollouts/{record.id}"
    asked(home, "GET", path, status=404)
    for state in ("running", "running", "done"):
        record = msgspec.structs.replace(record, state=state)
        assert asked(home, "PUT", path, msgspec.to_builtins(record))["hosts"] == {"running": 1, "waiting": 1}
    assert msgspec.convert(asked(home, "GET", path, role="viewer"), RolloutRecord) == record
    [row] = asked(home, "GET", "/api/v1/rollouts", role="viewer")["rollouts"]
    assert (row["deploy"], row["state"], row["who"]) == ("patch", "done", "ada@desk")
    assert row["actor"].startswith("token ")
    # Each time with another token, which goes on with what one before it began.
    assert len([act for act, _ in acts(home) if act == "rollout.told"]) == 3
    asked(home, "PUT", "/api/v1/rollouts/other", msgspec.to_builtins(record), status=409)
    asked(home, "PUT", path, {"id": 3}, status=422)


def test_a_record_of_a_rollout_has_each_host_in_one_wave_and_an_id_that_stands_in_an_address(home: Home) -> None:
    """A page of one that names a host in each of a thousand waves would take all memory there is."""
    one, two = HostRecord(state="done", wave=0), HostRecord(state="done", wave=1)
    canary, batch = (
        WaveRecord(name=name, state="done", hosts=hosts) for name, hosts in (("a", ["web1"]), ("b", ["web2"]))
    )
    record = RolloutRecord(
        id="one",
        deploy="patch",
        inventory="inventory/example.py",
        who="ada@desk",
        hostward="0.1.0",
        state="done",
        started=NOW,
        waves=[canary, batch],
        hosts={"web1": one, "web2": two},
    )
    assert misplaced(record) is None
    for bad, host in (
        ({"waves": [canary, canary, batch]}, "web1"),
        ({"waves": [msgspec.structs.replace(canary, hosts=["web2", "web2", "web1"])]}, "web2"),
        ({"hosts": {"web1": one}}, "web2"),
        ({"waves": [canary]}, "web2"),
    ):
        told = msgspec.structs.replace(record, **bad)
        refused = asked(home, "PUT", "/api/v1/rollouts/one", msgspec.to_builtins(told), status=422)
        assert refused["error"]["message"].startswith(f"The record has the host {host} not in exactly one wave"), bad
    for id in ("../one", "one two", "one\n", ""):
        told = msgspec.structs.replace(record, id=id)
        asked(home, "PUT", "/api/v1/rollouts/one", msgspec.to_builtins(told), status=422)
    asked(home, "GET", "/api/v1/rollouts/one", status=404)


def test_others_are_answered_while_a_large_body_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 16 MB that does not fit its shape is looked at twice, for seconds."""
    body = b" " * endpoint.LARGE + b"[1]"
    begun, go_on = threading.Event(), threading.Event()
    decoded = endpoint._decoded

    def waits(body: bytes, type: type[list[int]]) -> list[int]:
        begun.set()
        assert go_on.wait(60)
        return decoded(body, type)

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def main() -> None:
        request = Request({"type": "http", "method": "PUT", "headers": []}, receive)
        reading = asyncio.create_task(endpoint.read_json(request, 1 << 20, list[int]))
        while not begun.is_set():
            await asyncio.sleep(0)
        go_on.set()
        assert await reading == [1]

    monkeypatch.setattr(endpoint, "_decoded", waits)
    asyncio.run(main())
