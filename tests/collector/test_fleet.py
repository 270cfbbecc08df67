"""What home tells of a host beyond what the host said itself."""

from __future__ import annotations

from msgspec.structs import replace

from tests.collector.support import Home, Host, check


def test_a_check_that_its_host_does_not_run_any_more_is_told_apart(home: Home, host: Host) -> None:
    """Its last word may be ok for ever: the host reports, so only the check's own age tells."""
    now = host.clock()
    checks = [
        replace(check("cpu", time=now), interval=15.0),
        replace(check("old", time=now - 3600), interval=15.0),
        check("job:nightly", time=now - 3600),
    ]
    assert host.send(host.report(checks=checks)).status_code == 200
    detail = home.host()
    assert detail["stale"] == ["old"]
    assert detail["host"]["state"] == "ok"
