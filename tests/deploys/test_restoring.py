"""Whose snapshots a restore takes, where several hosts save into one repository. Hosts are simulated."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deploys.support import BIN, REPOSITORY, environment

JOB = {"repository": "home", "postgresql": {}}
CONFIGURED = {"jobs": {"files": JOB, "named": {**JOB, "host": "shop"}}, "drills": {}, "host": "here"}
WHAT: dict[str, dict[str, Any]] = {
    "path": {"path": "/srv", "target": "/srv/then"},
    "server": {"server": True, "target": "/srv/then"},
    "database": {"database": "shop", "target": "shop_then"},
}


@pytest.mark.parametrize("what", WHAT)
def test_a_restore_takes_snapshots_of_its_own_host_alone(tmp_path: Path, what: str) -> None:
    """By its own name, by that which the job gives it, and by the one that is asked for."""
    cases = {
        "own": ({"job": "files"}, "here"),
        "named": ({"job": "named"}, "shop"),
        "other": ({"job": "named", "host": "there"}, "there"),
    }
    hosts = []
    for name, (more, saved_by) in cases.items():
        answers: dict[str, object] = {
            "agent.d/*.toml": json.dumps(CONFIGURED),
            "json_agg": '["postgres"]',
            f"--host {saved_by} ": "",
            "systemd-run": {"success": False, "stderr": "these are snapshots of any host"},
        }
        table = {"action": "restore", "restore": {**WHAT[what], **more}}
        hosts.append(
            (f"@fake/{name}", {"fake_delay": 0, "fake_delay_jitter": 0, "fake_responses": answers, "backup": table})
        )
    path = tmp_path / "inventory.py"
    path.write_text(f"all = ({hosts!r}, {{}})\n")
    done = subprocess.run(
        [str(BIN / "pyinfra"), str(path), "deploys/backup.py", "-y"],
        cwd=REPOSITORY,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count(" is back, ") == len(cases)
