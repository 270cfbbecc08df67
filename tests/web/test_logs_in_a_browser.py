"""What a host's logs say, on its page, at a desk and on a phone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from playwright.sync_api import expect

from tests.web.conftest import Site, Visit
from tests.wire.reports import LOGS
from wire.report import LogAccess, LogCount, LogLogin, LogShape, LogSummary

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]

DAY = replace(
    LOGS.logs[0],
    day="2026-11-21",
    levels={"error": 12, "warning": 340, "info": 123104},
    shapes=[
        LogShape(shape="sshd: Failed password for root from <ip> port <n> ssh2", count=4321, level="error"),
        LogShape(shape="CRON: (root) CMD (run-parts --report /etc/cron.hourly)", count=24, level="info"),
    ],
    new_shapes=[LogShape(shape="kernel: <script>alert(1)</script> I/O error, dev sda", count=2, level="critical")],
    new=17,
)


def longest() -> LogSummary:
    """Everything in its longest words."""
    shape = LogShape(shape="s" * 200, count=1 << 53, level="emergency")
    counts: list[Any] = [LogCount("/" + "p" * 255, 1 << 53)] * 10
    return replace(
        DAY,
        day="2026-11-22",
        shapes=[shape] * 10,
        new_shapes=[shape] * 10,
        logins=[LogLogin(address="a" * 256, attempts=1 << 53, names=["n" * 256] * 10)] * 10,
        access=LogAccess(requests=1 << 53, bytes=1 << 53, paths=counts, failed=counts, addresses=counts),
    )


def test_the_host_page_shows_the_last_day_of_its_logs(visit: Open, site: Site) -> None:
    """A new day comes without a reload, nothing of what a log held is taken for markup, and nothing sticks out."""
    host = site.host("logs")
    one = visit()
    assert host.send(host.report(interval=600.0)).status_code == 200
    one.open(f"/hosts/{host.id}")
    logs = one.page.locator("#logs")
    expect(logs).to_be_hidden()
    assert host.send(host.report(interval=600.0, logs=[DAY])).status_code == 200
    expect(logs.get_by_role("heading", name="Logs of 2026-11-21")).to_be_visible(timeout=20_000)
    for text in ("12 error", "123,456 lines", "1 log could not be read", "the worst of 17", "tried root, admin"):
        expect(logs).to_contain_text(text)
    expect(logs).to_contain_text("<script>alert(1)</script>")
    expect(logs).to_contain_text("1,000 requests, 4.7GiB sent")
    assert host.send(host.report(interval=600.0, logs=[longest()])).status_code == 200
    expect(logs.get_by_role("heading", name="Logs of 2026-11-22")).to_be_visible(timeout=20_000)
    for width in (1440, 390):
        one.page.set_viewport_size({"width": width, "height": 800})
        assert one.sticking_out() == []
    assert one.complaints == []
