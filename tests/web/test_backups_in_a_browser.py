"""The pages about backups in a real browser, at a desk and on a phone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.collector.ran import DAY, HOUR, drill, failed, run
from tests.web.conftest import Site, Visit
from wire.report import BackupCopy, BackupRun, Drill

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]


def longest(now: float) -> tuple[BackupRun, Drill]:
    """Everything in its longest words."""
    ran = failed(
        "j" * 128,
        ended=now - HOUR,
        source="s" * 128,
        repository="r" * 256,
        message="m" * 500,
        bytes=1 << 53,
        files=1 << 53,
        errors=1 << 53,
        copies=[BackupCopy(repository="r" * 256, outcome="failed", message="m" * 500)] * 8,
    )
    tried = drill(
        "d" * 128, job="j" * 128, ended=now, outcome="failed", message="m" * 500, recovery_time=3e7, files=1 << 53
    )
    return ran, tried


def test_backups_are_seen_over_all_hosts_and_of_each(visit: Open, site: Site) -> None:
    """A run that fails shows without a reload; a click leads to the host; nothing sticks out at any width."""
    host = site.host("backups")
    now = time.time()
    runs = [run(ended=now - number * DAY, bytes=(30 - number) << 30, next=now + DAY) for number in (3, 2, 1)]
    drills = [drill(ended=now - number * DAY, recovery_time=900.0 * number, rto=2000.0) for number in (3, 2, 1)]
    assert host.send(host.report(interval=600.0, backups=runs, drills=drills)).status_code == 200
    one = visit()
    page = one.page
    one.open("/?q=backups")
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Backups").click()
    expect(page).to_have_url(re.compile("/backups$"))
    page.get_by_role("searchbox").fill("backups web")
    expect(page).to_have_url(re.compile(r"q=backups\+web$"))
    row = page.locator(f'[data-host="{host.id}"][data-job="web"]')
    expect(row).to_have_attribute("data-state", "ok")
    expect(row.get_by_role("img")).to_have_count(1)
    expect(row).to_contain_text("+1GiB/d")
    page.get_by_role("link", name="Recovery point").click()
    expect(page).to_have_url(re.compile(r"q=backups\+web&sort=point$"))
    page.get_by_role("searchbox").fill("backups")
    page.get_by_role("link", name="Next run").click()  # before the search is sent
    expect(page).to_have_url(re.compile(r"\?q=backups&sort=next$"))
    with page.expect_response(lambda response: "q=backups" in response.url):
        pass  # a live update
    expect(page).to_have_url(re.compile(r"\?q=backups&sort=next$"))
    answer = host.send(host.report(interval=600.0, backups=[failed(ended=now, next=now + DAY)]))
    assert answer.status_code == 200
    expect(row).to_have_attribute("data-state", "critical", timeout=20_000)
    expect(row).to_contain_text("The last run failed: no such host")
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Backups of backups")
    expect(page.locator("article[data-drill=weekly]")).to_contain_text("against usual")
    expect(page.locator(".runs tbody tr")).to_have_count(4)
    ran, tried = longest(now)
    assert host.send(host.report(interval=600.0, backups=[ran], drills=[tried])).status_code == 200
    expect(page.locator(".runs tbody tr")).to_have_count(5, timeout=20_000)
    for path in (f"/hosts/{host.id}/backups", "/backups?q=backups", f"/hosts/{host.id}"):
        one.open(path)
        for width in (1440, 1000, 390):
            page.set_viewport_size({"width": width, "height": 844})
            assert one.sticking_out() == [], (path, width)
    page.locator("#to-backups").click()
    expect(page).to_have_url(re.compile("/backups$"))
