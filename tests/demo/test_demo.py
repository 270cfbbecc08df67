"""The demo brings this very machine to a page, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest


@dataclass
class Demo:
    """A running demo and what it printed."""

    process: subprocess.Popen[str]
    folder: Path
    url: str
    login: tuple[str, str]
    token: str

    def get(self, path: str) -> Any:
        context = ssl.create_default_context(cafile=self.folder / "collector" / "ca.pem")
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, context=context, timeout=60) as reply:
            return json.load(reply)

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture
def demo(tmp_path: Path, repository: Path) -> Iterator[Demo]:
    process = subprocess.Popen(
        [sys.executable, "-m", "demo", "--data-dir", str(tmp_path / "demo")],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    said: dict[str, str] = {}
    try:
        for line in process.stdout:
            name, _, rest = line.strip().partition(": ")
            said[name] = rest
            if name == "api-token":
                break
        else:
            assert process.stderr is not None
            pytest.fail(f"the demo ended: {process.stderr.read()}")
        user, password = said["login"].split()
        url = said["dashboard"].rstrip("/")
        yield Demo(process, Path(said["data"]), url, (user, password), said["api-token"])
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)
        process.stdout.close()
        if process.stderr is not None:
            process.stderr.close()


def eventually(holds: Callable[[], bool]) -> bool:
    """True once it holds; False when it does not within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.1)
    return False


def gone(family: list[psutil.Process]) -> bool:
    """True when all of `family` ended or are about to be reaped."""
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family if psutil.pid_exists(p.pid))


def test_the_demo_shows_this_machine_truly(demo: Demo) -> None:
    """Home's figures for memory and disk are this machine's, and every check has a state."""
    (host,) = demo.get("/api/v1/hosts")["hosts"]
    assert host["state"] in ("ok", "warning", "critical")
    detail = demo.get(f"/api/v1/hosts/{host['id']}")
    assert {"cpu", "memory", "disk", "disk_io", "network"} <= {check["name"] for check in detail["checks"]}

    def is_true() -> bool:
        """What was measured some seconds ago is no longer so where others fill memory and disk meanwhile."""
        (host,) = demo.get("/api/v1/hosts")["hosts"]
        shown = {item["key"]: item for item in host["highlights"]}
        memory = psutil.virtual_memory()
        root = os.statvfs("/")
        used = 100 * (root.f_blocks - root.f_bfree) / (root.f_blocks - root.f_bfree + root.f_bavail)
        readings = demo.get(f"/api/v1/hosts/{host['id']}/readings?name=disk_used_percent")["series"]
        mounts = {series["labels"]["mount"]: series["values"][-1] for series in readings}
        return abs(shown["memory"]["value"] - memory.percent) < 10 and abs(mounts["/"] - used) < 5

    assert eventually(is_true)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_whatever_ends_the_demo_leaves_nothing_running(demo: Demo, number: signal.Signals) -> None:
    """Ctrl-C, a polite signal and kill -9 alike end both ends and all their children."""
    family = demo.family()
    assert len(family) >= 2
    demo.process.send_signal(number)
    demo.process.wait(60)
    assert eventually(lambda: gone(family))
