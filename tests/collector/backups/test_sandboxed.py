"""A host whose state folder cannot be written, as in the sandbox of root's half, and its repository at home."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.agent.daemon.daemons import HOSTWARD
from tests.collector.backups.test_server import Machine
from tests.collector.backups.test_server import keeper as keeper
from tests.collector.backups.test_server import machine as machine
from tests.collector.conftest import initialised as initialised
from tests.require import require_root


@pytest.mark.root
def test_a_sandbox_that_cannot_keep_it_gets_one(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """With the credential that is held; else with one that is good for this run, and that it does not keep."""
    require_root()
    machine.enroll()
    state = machine.state

    def sandboxed(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        lines = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", lines, state, HOSTWARD, "backup", "credentials", "--json"]
        done = subprocess.run(
            [*map(str, command), "--state-dir", str(state), *words], capture_output=True, text=True, timeout=100
        )
        assert done.returncode == code, done.stderr
        return done

    first = json.loads(sandboxed().stdout)
    assert not (state / "home-backups.json").exists()
    held = machine.credentials(capsys)
    assert held["RESTIC_REST_PASSWORD"] != first["RESTIC_REST_PASSWORD"]
    assert json.loads(sandboxed().stdout) == held
    assert "cannot be written" in sandboxed("--renew", code=1).stderr
    assert machine.credentials(capsys) == held
