"""Markup in whatever a host may say, looked at in a real browser that would run it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Site, Visit
from wire.report import CheckState, Event, JobResult, Reading

pytestmark = pytest.mark.browser

SCRIPT = "<img src=x onerror=\"window.broken='yes'\"><script>window.broken='yes'</script>"
BREAKOUT = "\"'><svg onload=\"window.broken='yes'\">{{7*7}}${7*7}"
ADDRESS = "javascript:window.broken='yes'"


def test_nothing_that_a_host_says_runs_in_the_readers_browser(visit: Callable[..., Visit], site: Site) -> None:
    """Name, facts, messages, labels, units, events and jobs; on both pages, by template and by script."""
    now = time.time()
    host = site.host(f"x {SCRIPT}")
    checks = [
        CheckState(name=name, kind="command", state=state, message=message, since=now - 60, time=now)
        for name, state, message in (("cpu", "critical", SCRIPT), ("disk", "warning", BREAKOUT))  # type: ignore[misc]
    ]
    readings = [
        Reading("cpu", "cpu_used_percent", 50.0, "percent", {}, now - 1),
        *(
            Reading("disk", "disk_used_percent", 50.0, "percent", {"mount": label}, now - 1)
            for label in (SCRIPT, BREAKOUT)
        ),
        *(Reading("log", "failed_logins", 5.0, "<b>unit</b>", {"a": label}, now - 1) for label in (SCRIPT, ADDRESS)),
    ]
    report = host.report(
        checks=checks,
        readings=readings,
        events=[Event(time=now, kind="agent.started", message=text, state="warning") for text in (SCRIPT, BREAKOUT)],
        jobs=[JobResult(name="backup", started=now - 5, finished=now, outcome="failed", message=SCRIPT)],
        facts={"os": SCRIPT, "kernel": BREAKOUT, "site": ADDRESS},
    )
    assert host.send(report).status_code == 200
    one = visit(1440)
    one.open("/")
    expect(one.page.locator(f'[data-host="{host.id}"]')).to_contain_text("<script>")
    for path in ("/", f"/hosts/{host.id}"):
        one.open(path)
        one.page.wait_for_load_state("networkidle")
        assert one.page.evaluate("window.broken") is None
        assert one.page.locator("main img, main script, svg[onload], a[href^='javascript']").count() == 0
    expect(one.page.locator("#charts figure").first).to_be_visible()
    one.page.locator("#charts-more summary").click()
    expect(one.page.locator("#charts-more .keys").first).to_contain_text("onerror")
    assert one.page.evaluate("window.broken") is None
