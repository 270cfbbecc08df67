"""What docs/logs.md says of watching; its commands that need systemd are run in tests/fleet/test_logs.py."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from agent.config.log_rules import load_log_rules
from agent.logs import followers, journal_usage
from agent.logs.watch import forecast, packing, server
from kit.units import format_duration
from tests.require import require_program


@pytest.fixture
def section(repository: Path) -> str:
    """On watching."""
    page = (repository / "docs/logs.md").read_text()
    return page.partition("\n## By event\n")[2].partition("\n## ")[0]


def test_its_rules_are_right(section: str, tmp_path: Path) -> None:
    """And its drop-in names options that the unit has."""
    (tmp_path / "agent.toml").write_text("\n".join(re.findall(r"```toml\n(.*?)```", section, re.DOTALL)))
    (rule,) = load_log_rules(tmp_path / "agent.toml")
    assert rule.budget is not None
    assert rule.units


def test_its_numbers_are_those_of_the_code(section: str) -> None:
    """In the words of the page."""
    text = " ".join(section.split())
    spans = [format_duration(span) for span in forecast.SPANS]
    reckoned = ", ".join(f"{span[:-1]} {span[-1]}" for span in spans[:-1]) + f" and {spans[-1][:-1]} {spans[-1][-1]}"
    assert f"in the last {reckoned}, and takes each to go on for four times as long" in text
    assert (forecast.AHEAD, forecast.WORTH) == (4, 2**20)
    assert (server.REST, server.EVERY, server.WHOLE) == (1 / 4, 60, 3600)
    assert (server.PROBE, server.SCAN, packing.QUIET) == (10, 2, 5)
    assert f"{followers.PATIENCE / 60:.0f} minutes at most" in text
    assert f"its message and {journal_usage.ENTRY} bytes" in text
    assert journal_usage.TOO_LONG == 4096


def test_its_filter_works_on_what_is_printed(section: str) -> None:
    """The units that take most."""
    require_program("jq")
    (command,) = [line for line in section.splitlines() if " | jq " in line]
    usage = {"units": {f"u{number}.service": 10 - number for number in range(8)}}
    done = subprocess.run(
        shlex.split(command.partition(" | ")[2]), input=json.dumps(usage), capture_output=True, text=True, check=True
    )
    assert [unit["key"] for unit in json.loads(done.stdout)] == [f"u{number}.service" for number in range(5)]
