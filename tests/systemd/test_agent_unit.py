"""The agent's unit, looked at by systemd itself."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.backups.watch.place import folder_of
from agent.daemon.loop import JOBS_GRACE, LAST_DELIVERY
from agent.logs.rules import place
from agent.logs.watch.server import GOODBYE
from agent.paths import System
from agent.privileged.protocol import SOCKET
from agent.privileged.sandbox import STOP_GRACE
from agent.privileged.serve import USER
from kit.units import Duration
from tests.require import require_program

UNITS = (
    "hostward-agent.service",
    "hostward-jobs.socket",
    "hostward-jobs@.service",
    "hostward-backup-watch@.service",
    "hostward-logs.service",
)


def options(repository: Path, unit: str = UNITS[0], section: str = "Service") -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign,assignment]  # the keys of units are spelt with capitals
    parser.read(repository / "systemd" / unit)
    return dict(parser[section])


def test_systemd_finds_nothing_wrong(repository: Path, tmp_path: Path) -> None:
    """Every option is one that systemd knows, with a value that it takes."""
    program = require_program("systemd-analyze")
    for unit in UNITS:
        # The program is not installed here, and verify looks for it.
        text = (repository / "systemd" / unit).read_text()
        (tmp_path / unit).write_text(re.sub(r"/opt/hostward/current/bin/\w+", sys.executable, text))
    files = [str(tmp_path / unit) for unit in UNITS]
    done = subprocess.run([str(program), "verify", "--man=no", *files], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("unit", "most"),
    [
        ("hostward-agent.service", 25),
        ("hostward-jobs@.service", 20),
        ("hostward-backup-watch@.service", 25),
        ("hostward-logs.service", 22),
    ],
)
def test_the_sandbox_is_tight(repository: Path, unit: str, most: int) -> None:
    """systemd's own score of exposure, of which 100 is all and 0 is none, stays low."""
    program = require_program("systemd-analyze")
    done = subprocess.run(
        [str(program), "security", "--offline=true", f"--threshold={most}", str(repository / "systemd" / unit)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_the_socket_is_where_the_agent_looks_for_it(repository: Path) -> None:
    """And nobody but root and the agent's group can connect."""
    found = options(repository, "hostward-jobs.socket", "Socket")
    assert found["ListenStream"] == str(System().path(*SOCKET))
    assert (found["SocketUser"], found["SocketGroup"], found["SocketMode"]) == ("root", USER, "0660")
    assert found["Accept"] == "yes"
    assert 0 < int(found["MaxConnections"]) <= 32


def test_a_watcher_listens_where_runs_ask(repository: Path) -> None:
    """It may see what folders hold, and change nothing; no run by another user can ask."""
    found = options(repository, "hostward-backup-watch@.service")
    assert f"/run/{found['RuntimeDirectory'].replace('%i', 'etc')}" == str(folder_of("etc", {}))
    assert found["RuntimeDirectoryMode"] == "0700"
    assert found["CapabilityBoundingSet"] == "CAP_DAC_READ_SEARCH"
    assert (found["Type"], found["ProtectSystem"], found["PrivateNetwork"]) == ("notify", "strict", "true")
    assert found["ExecStart"].endswith("backup watch %i")


def test_root_s_half_has_time_to_end_what_it_started(repository: Path) -> None:
    """A stop of its unit is no reason to leave a run behind."""
    found = options(repository, "hostward-jobs@.service")
    assert int(found["TimeoutStopSec"]) > 2 * STOP_GRACE
    assert found["CapabilityBoundingSet"] == ""
    assert found["ExecStart"].endswith("-I -m agent.privileged.serve %n")


def test_the_unit_gives_the_agent_the_time_that_it_takes(repository: Path) -> None:
    """systemd does not kill an agent that is ending its jobs, and watches one that is told so."""
    found = options(repository)
    assert Duration.parse(f"{found['TimeoutStopSec']}s") > JOBS_GRACE + LAST_DELIVERY + 2
    assert found["Type"] == "notify"
    assert int(found["WatchdogSec"]) > 0
    assert found["OOMPolicy"] == "continue"
    assert found["CapabilityBoundingSet"] == ""


def test_the_watcher_of_logs_writes_where_its_state_is_looked_for(repository: Path) -> None:
    """And to logs; nothing else is writable. It starts where there are rules."""
    found = options(repository, "hostward-logs.service")
    assert f"/var/lib/{found['StateDirectory']}" == str(place.ROOTS)
    assert found["StateDirectoryMode"] == "0755", "the agent's check reads there"
    assert (found["ProtectSystem"], found["ReadWritePaths"]) == ("strict", "/var/log")
    assert found["ExecCondition"].endswith("hostward logs watch --configured")
    assert found["ExecStart"] == found["ExecCondition"].removesuffix(" --configured")
    assert float(found["TimeoutStopSec"]) > GOODBYE
