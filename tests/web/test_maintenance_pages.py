"""What pages show of a host that somebody is at work on, and of what waits there."""

from __future__ import annotations

from collector.auth import COOKIE
from tests.collector.support import NOW, Home, Host
from tests.web.test_pages import HOSTILE, Markup, log_in, session
from wire.packages import Packages, PendingUpdate


def test_a_host_in_a_window_says_so_with_its_reason_and_what_waits(home: Home) -> None:
    """On both pages, until the window is closed. No reason is taken for markup."""
    page = {"Cookie": f"{COOKIE}={session(log_in(home))}"}
    host = Host(home.client, home.clock)
    assert host.enroll(home.token()).status_code == 200
    operator = home.bearer("operator")
    pending = [PendingUpdate("libc6", "1", "2", False, NOW - 900), PendingUpdate("openssl", "1", "2", True, NOW - 90)]
    host.send(host.report(packages=Packages(manager="apt", pending=pending)))
    asked = {"hosts": ["web1"], "reason": f"patching {HOSTILE}", "duration": 600}
    window = home.client.request("POST", "/api/v1/windows", json=asked, headers=operator).json()

    fleet = Markup(home.client.get("/", headers=page).text)
    assert "maintenance until" in fleet.words
    one = Markup(home.client.get(f"/hosts/{host.id}", headers=page).text)
    assert "In maintenance until" in one.words
    assert f"patching {HOSTILE}" in one.text
    assert "2 updates pending, 1 for security" in one.words
    for markup in (fleet, one):
        assert not any("hostile" in attributes for _, attributes in markup.elements)

    home.client.request("DELETE", f"/api/v1/windows/{window['id']}", headers=operator)
    for path in ("/", f"/hosts/{host.id}"):
        assert "maintenance until" not in Markup(home.client.get(path, headers=page).text).words


def test_what_waits_is_told_package_by_package_and_the_fleet_can_be_narrowed_to_it(home: Home) -> None:
    """The first of it on the host's page, all of it on a page of its own; what was left out is counted."""
    page = {"Cookie": f"{COOKIE}={session(log_in(home))}"}
    quiet, host = Host(home.client, home.clock), Host(home.client, home.clock)
    for one, name in ((quiet, "quiet"), (host, "web1")):
        assert one.enroll(home.token(), name).status_code == 200
    quiet.send(quiet.report())
    fleet = Markup(home.client.get("/", headers=page).text)
    assert "for security" not in fleet.words  # nobody tells any
    told = [PendingUpdate(f"lib{number}", "1.0", f"1.{number}", number < 2, NOW - 900) for number in range(12)]
    packages = Packages(manager="apt", pending=told, pending_left_out=3)
    for told_now in (packages, None, None):
        home.clock.now += 15
        answer = host.send(host.report(time=home.clock() + 3600, packages=told_now))
        assert answer.status_code == 200, answer.text

    fleet = Markup(home.client.get("/?updates=security", headers=page).text)
    assert [row["data-host"] for row in fleet.all("tr") if "data-host" in row] == [host.id]
    assert "15 2 security" in fleet.words
    one = Markup(home.client.get(f"/hosts/{host.id}", headers=page).text)
    every = Markup(home.client.get(f"/hosts/{host.id}/updates", headers=page).text)
    for markup, shown in ((one, 10), (every, 12)):
        assert [row["data-package"] for row in markup.all("tr") if "data-package" in row] == [
            update.name for update in told[:shown]
        ]
        assert "lib1 1.0 1.1 security 2027-01-15 06:45:00 UTC" in markup.words  # by home's clock
    assert "All 15 updates" in one.words
    assert "And 3 more updates" in every.words
    fragment = home.client.get(f"/hosts/{host.id}/updates", headers={**page, "HX-Request": "true"}).text
    assert "<html" not in fragment

    host.send(host.report(packages=Packages(manager="apt", pending=[])))
    for path in (f"/hosts/{host.id}", f"/hosts/{host.id}/updates"):
        assert "Nothing waits to be updated." in Markup(home.client.get(path, headers=page).text).words
    for path in (f"/hosts/{quiet.id}", f"/hosts/{quiet.id}/updates"):
        assert "This host tells of no updates." in Markup(home.client.get(path, headers=page).text).words
    assert home.client.get("/hosts/none/updates", headers=page).status_code == 404
