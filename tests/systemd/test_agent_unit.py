"""The agent's unit, looked at by systemd itself."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

from agent.daemon.loop import JOBS_GRACE, LAST_DELIVERY
from kit.units import Duration
from tests.require import require_program

UNIT = "systemd/hostward-agent.service"


def options(repository: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign,assignment]  # the keys of units are spelt with capitals
    parser.read(repository / UNIT)
    return dict(parser["Service"])


def test_systemd_finds_nothing_wrong(repository: Path, tmp_path: Path) -> None:
    """Every option is one that systemd knows, with a value that it takes."""
    program = require_program("systemd-analyze")
    unit = tmp_path / "hostward-agent.service"
    # The program is not installed here, and verify looks for it.
    unit.write_text((repository / UNIT).read_text().replace("/opt/hostward/current/bin/hostward", sys.executable))
    done = subprocess.run([str(program), "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0


def test_the_sandbox_is_tight(repository: Path) -> None:
    """systemd's own score of exposure, of which 10 is all and 0 is none, stays low."""
    program = require_program("systemd-analyze")
    done = subprocess.run(
        [str(program), "security", "--offline=true", "--threshold=40", str(repository / UNIT)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_the_unit_gives_the_agent_the_time_that_it_takes(repository: Path) -> None:
    """systemd does not kill an agent that is ending its jobs, and watches one that is told so."""
    found = options(repository)
    assert Duration.parse(f"{found['TimeoutStopSec']}s") > JOBS_GRACE + LAST_DELIVERY + 2
    assert found["Type"] == "notify"
    assert int(found["WatchdogSec"]) > 0
    assert found["OOMPolicy"] == "continue"
    assert found["CapabilityBoundingSet"] == ""
