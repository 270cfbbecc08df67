"""What docs/logs.md says of rules of ours: its tables are right ones, and its commands are run as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.config.log_rules import load_log_rules
from agent.config.logs import CLASSES
from backup.format.keyfile import Cost
from tests.require import require_program

PLACES = re.compile(r"(?<![\w.])/(?:srv/|etc/|var/log)")
"""What stands on the page is in the test's own folder."""


def sections(repository: Path, *names: str) -> str:
    """Those of the page."""
    page = (repository / "docs" / "logs.md").read_text()
    return "".join(f"## {part}" for part in page.split("\n## ")[1:] if part.partition("\n")[0] in names)


def blocks(text: str, kind: str) -> list[str]:
    """In their order."""
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def page(repository: Path) -> str:
    """The sections on rules of ours."""
    return sections(repository, "Native rules", "Retention")


def test_its_tables_are_right(page: str, tmp_path: Path) -> None:
    """Each is a configuration."""
    assert len(blocks(page, "toml")) >= 3
    for block in blocks(page, "toml"):
        (tmp_path / "agent.toml").write_text(block)
        assert load_log_rules(tmp_path / "agent.toml")


def test_its_classes_are_those_of_the_code(page: str) -> None:
    """With as many days."""
    rows = dict(re.findall(r"^\| `(\w+)`.*? \| .*?([0-9,]+) days\)? \|$", page, re.MULTILINE))
    assert {name: int(days.replace(",", "")) for name, days in rows.items()} == CLASSES


def test_its_commands_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """On a host that has the rules of the page, and logs of a hundred days."""
    require_program("jq")
    said: dict[str, str] = {}
    for folder in ("srv/shop", "etc/hostward/agent.d", "etc/logrotate.d", "var/log/shop", "bin", "state"):
        (tmp_path / folder).mkdir(parents=True)
    old = tmp_path / "var/log/audit-trail.log-20200101-000000"
    old.write_text("who did what\n")
    os.utime(old, (0, 0))
    (tmp_path / "var/log/audit-trail.log").write_text("who does what\n")
    (tmp_path / "var/log/shop/shop.log").write_text("sold\n")
    (tmp_path / "etc/hostward/archive.password").write_text("secret\n")
    (tmp_path / "etc/hostward/archive.password").chmod(0o600)
    (tmp_path / "etc/logrotate.d/orders").write_text("/var/log/orders.log {\n weekly\n rotate 4\n}\n")
    tables = [block.replace("nginx.service", "no.service") for block in blocks(page, "toml")]
    rules = PLACES.sub(lambda place: f"{tmp_path}{place[0]}", "\n".join(tables))
    (tmp_path / "etc/hostward/agent.toml").write_text(rules)
    monkeypatch.setattr("backup.repository.keys.calibrated_cost", lambda: Cost(1024, 8, 1))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOSTWARD_CONFIG", str(tmp_path / "etc/hostward/agent.toml"))
    # The repository is made in the second of the sections.
    first, _, second = page.partition("## Retention")
    for line in "".join([*blocks(second, "sh"), *blocks(first, "sh")]).splitlines():
        command, filtered, then = PLACES.sub(lambda place: f"{tmp_path}{place[0]}", line).partition(" | ")
        command, _, target = command.partition(" > ")
        words = shlex.split(command)[1:]
        if words[0] == "logs":
            words[2:2] = ["--state-dir", str(tmp_path / "state")]
        assert main(words) == 0, line
        out, err = capfd.readouterr()
        assert err == "", line
        if target:
            Path(target).write_text(out)
        if filtered:
            out = subprocess.run(shlex.split(then), input=out, capture_output=True, text=True, check=True).stdout
        said[line] = out
    assert f"rotated {tmp_path}/var/log/shop/shop.log: it was asked for" in said["hostward logs rotate shop --force"]
    assert not old.exists()
    assert "audit-trail.log-20200101-000000" in said["hostward backup find --job archive 'audit-trail.log*'"]
    assert (tmp_path / "etc/hostward/agent.d/orders.toml").read_text().count("[[logs]]") == 1
