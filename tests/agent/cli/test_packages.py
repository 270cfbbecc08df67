"""`hostward packages` on this host, whose dpkg is real."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from agent.checks.packages import UpdatesMemory
from agent.cli.packages import lines
from agent.state import State
from tests.agent.daemon.daemons import hostward
from tests.agent.packages.support import saw
from tests.require import require_program
from wire.packages import Package, Packages, PendingUpdate

FOUND = Packages(
    manager="apt",
    installed=[Package("openssl", "1.0", "amd64", True), Package("zlib1g", "2", "amd64")],
    left_out=3,
    pending=[PendingUpdate("openssl", "1.0", "1.1", True, 1000.0), PendingUpdate("zlib1g", "2", "3", False, 1e5)],
    pending_left_out=1,
)
NOW = 1000.0 + 3.5 * 86400


def test_people_are_shown_what_waits_for_how_long_and_what_is_installed() -> None:
    """Only the first with `--pending`; what the list has no room for is counted."""
    said = lines(FOUND, NOW, pending=False)
    assert said[:2] == [
        "installed  5 by apt, 1 of them asked for",
        "pending    3, 1 of them for security",
    ]
    text = "\n".join(said)
    assert "openssl  1.0        1.1    3d" in text
    assert "and 3 more that others need" in text
    assert "architecture" not in "\n".join(lines(FOUND, NOW, pending=True))


def test_it_tells_that_nobody_has_looked_for_updates(tmp_path: Path) -> None:
    """Which is another thing than that none wait; and `--json` says null."""
    require_program("dpkg-query")
    State.open(tmp_path).close()
    done = hostward("packages", "--pending", "--state-dir", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "pending    not known: the check `updates` has not run yet" in done.stdout
    done = hostward("packages", "--pending", "--json", "--state-dir", str(tmp_path))
    found = json.loads(done.stdout)
    assert found["pending"] is None
    assert "installed" not in found


def test_json_has_every_package_of_dpkg_and_what_waits(tmp_path: Path) -> None:
    """As dpkg itself tells them, and apt which were asked for."""
    require_program("dpkg-query")
    state = State.open(tmp_path)
    saw(state, UpdatesMemory({"dpkg": 7.0}, None, {"dpkg": ("999", 7.0)}))
    state.close()
    found = json.loads(hostward("packages", "--json", "--state-dir", str(tmp_path)).stdout)
    (waits,) = found["pending"]
    assert (waits["name"], waits["candidate"], waits["security"], waits["since"]) == ("dpkg", "999", True, 7.0)
    shown = "${db:Status-Status} ${Package} ${Version} ${Architecture}\n"
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f", shown], capture_output=True, text=True, timeout=60, check=True
    ).stdout.splitlines()
    installed = {f"{each['name']} {each['version']} {each['architecture']}" for each in found["installed"]}
    assert installed == {line.partition(" ")[2] for line in listed if line.startswith("installed ")}
    manual = subprocess.run(["apt-mark", "showmanual"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert {each["name"] for each in found["installed"] if each["manual"]} == {
        name.partition(":")[0] for name in manual.split()
    }


@pytest.mark.parametrize("words", [["packages"], ["packages", "--json"]])
def test_without_an_agents_state_it_says_so(tmp_path: Path, words: list[str]) -> None:
    """In one sentence."""
    done = hostward(*words, "--state-dir", str(tmp_path / "none"))
    assert done.returncode == 1
    assert "has `hostward run` been started there?" in done.stderr
