"""The pages about rollouts and updates in a real browser, at a desk and on a phone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import msgspec
import pytest
from playwright.sync_api import expect

from tests.web.conftest import Site, Visit
from wire.packages import Packages, PendingUpdate
from wire.rollout import HostRecord, RolloutRecord, WaveRecord

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]
ID = "20261122-031500-a1b2c3"


def longest(now: float) -> RolloutRecord:
    """Everything in its longest words, while it runs."""
    names = ["h" * 200, "h" * 199]
    versions = {"p" * 250: "1" * 250}
    failed = HostRecord(state="failed", wave=0, outcome="broken", message="m" * 500, before=versions, after={})
    return RolloutRecord(
        id=ID,
        deploy="/d" * 120,
        inventory="i" * 250,
        who="u" * 120 + "@" + "m" * 120,
        hostward="0.1.0",
        state="running",
        started=now - 60,
        message="m" * 500,
        waves=[WaveRecord(name="w" * 128, state="running", hosts=names)],
        hosts={names[0]: failed, names[1]: HostRecord(state="running", wave=0, started=now - 50)},
    )


def test_a_rollout_is_followed_while_it_runs_and_nothing_sticks_out(visit: Open, site: Site) -> None:
    """By the keyboard and at any width; its end shows without a reload."""
    token = site.real.made("api-token", "create", "--role", "operator")
    running = longest(time.time())

    def tell(record: RolloutRecord) -> None:
        answer = site.client.put(
            f"/api/v1/rollouts/{ID}",
            json=msgspec.to_builtins(record),
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.status_code < 300, answer.text

    tell(running)
    one = visit()
    page = one.page
    one.open("/")
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Rollouts").click()
    expect(page).to_have_url(re.compile("/rollouts$"))
    page.locator(f"#rollout-{ID}").click()
    expect(page.locator(".host-head .badge")).to_have_text("running")
    tell(msgspec.structs.replace(running, state="failed", finished=time.time()))
    expect(page.locator(".host-head .badge")).to_have_text("failed", timeout=20_000)
    for path in (f"/rollouts/{ID}", "/rollouts"):
        one.open(path)
        for width in (1440, 1000, 390, 360):
            page.set_viewport_size({"width": width, "height": 844})
            assert one.sticking_out() == [], (path, width)


def test_the_fleet_is_narrowed_to_what_waits_and_a_search_keeps_that(visit: Open, site: Site) -> None:
    """From the fleet to the packages of a host; the longest names fit."""
    now = time.time()
    told = [PendingUpdate("p" * 128, "1" * 250, "2" * 250, True, now - 60)] * 11
    hosts = {name: site.host(name) for name in ("waits-not", "waits-all")}
    for name, host in hosts.items():
        packages = Packages(manager="apt", pending=told if name == "waits-all" else [])
        assert host.send(host.report(time=now, interval=600.0, packages=packages)).status_code == 200
    one = visit()
    page = one.page
    one.open("/?q=waits-")
    expect(page.locator("[data-host]")).to_have_count(2)
    page.locator("#updates-security").click()
    expect(page.locator("[data-host] .c-name a")).to_have_text(["waits-all"])
    expect(page).to_have_url(re.compile(r"\?q=waits-&updates=security$"))
    page.get_by_role("searchbox").fill("waits-a")
    expect(page).to_have_url(re.compile(r"\?q=waits-a&updates=security$"))
    expect(page.locator("[data-host] .c-updates")).to_have_text("11 11 security")
    page.locator("[data-host] .c-name a").click()
    page.locator("#to-updates").click()
    expect(page.locator("[data-package]")).to_have_count(11)
    for path in (f"/hosts/{hosts['waits-all'].id}/updates", f"/hosts/{hosts['waits-all'].id}", "/?q=waits-"):
        one.open(path)
        for width in (1440, 1000, 390, 360):
            page.set_viewport_size({"width": width, "height": 844})
            assert one.sticking_out() == [], (path, width)
