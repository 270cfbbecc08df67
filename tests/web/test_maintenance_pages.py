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
