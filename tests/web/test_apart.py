"""The browser's own network."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from tests.require import require_program, require_root
from tests.web.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.root]


def test_a_browser_does_not_notice_interfaces_that_come_and_go(visit: Callable[..., Visit]) -> None:
    """As other tests make them: not one of its requests is broken off."""
    require_root()
    ip = require_program("ip")
    name = f"hwx{os.getpid()}"
    one = visit()
    one.open("/")
    one.page.evaluate(
        """() => {
            window.count = 0;
            const ask = async () => {
                const answer = await fetch("/login");
                await answer.arrayBuffer();
                window.count += 1;
            };
            window.asking = setInterval(() => ask().catch((error) => console.error(String(error))), 20);
        }"""
    )
    for _ in range(10):
        subprocess.run([ip, "link", "add", name, "type", "veth", "peer", "name", f"{name}b"], check=True)
        try:
            subprocess.run([ip, "address", "add", "198.51.100.1/30", "dev", name], check=True)
            subprocess.run([ip, "link", "set", name, "up"], check=True)
            subprocess.run([ip, "link", "set", f"{name}b", "up"], check=True)
            one.page.wait_for_timeout(100)
        finally:
            subprocess.run([ip, "link", "delete", name], check=True)
    one.page.evaluate("clearInterval(window.asking)")
    assert one.page.evaluate("window.count") > 0
