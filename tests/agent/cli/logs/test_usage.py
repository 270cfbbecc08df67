"""`hostward logs usage`: what logs and the journal take, by application."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.logs import journal, journal_usage
from agent.logs.journal_usage import ENTRY
from tests.agent.checks.journals import write_journal

RULES = """
[[logs]]
name = "shop"
paths = ["{top}/log/*.log"]
size = "1MiB"
budget = "1MiB"
units = ["shop.service", "cart.service"]

[[logs]]
name = "other"
paths = ["{top}/other.log"]
"""


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options for rules with logs, and a journal in place of the host's."""
    (tmp_path / "agent.toml").write_text(RULES.format(top=tmp_path))
    (tmp_path / "log").mkdir()
    (tmp_path / "log/a.log").write_text("x" * 1000)
    (tmp_path / "log/a.log-20260101-000000.zst").write_text("x" * 500)
    entries: list[dict[str, str | bytes]] = [
        {"MESSAGE": "x" * 88, "_SYSTEMD_UNIT": unit}
        for unit in ("shop.service",) * 20 + ("cart.service",) * 10 + ("db.service",) * 70
    ]
    (tmp_path / "journal").mkdir()
    write_journal(tmp_path / "journal/host", entries)
    command = journal.command
    monkeypatch.setattr(
        journal_usage,
        "command",
        lambda source, *fields: command([f"--directory={tmp_path}/journal/host", *source], *fields),
    )
    size = journal_usage.size_of
    monkeypatch.setattr(journal_usage, "size_of", lambda: size([f"{tmp_path}/journal"]))
    return ["--config", str(tmp_path / "agent.toml"), "--state-dir", str(tmp_path / "state")]


def test_logs_and_journal_by_rule_and_by_unit(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON; each unit has its share of the journal's files."""
    assert main(["logs", "usage", "--json", *words]) == 0
    usage = json.loads(capsys.readouterr().out)
    shop, other = usage["rules"]
    assert usage["journal"] > 100 * ENTRY
    assert usage["units"]["db.service"] == pytest.approx(0.7 * usage["journal"], abs=1)
    assert shop == {
        "rule": "shop",
        "logs": 1500,
        "journal": usage["units"]["shop.service"] + usage["units"]["cart.service"],
        "budget": 2**20,
    }
    assert other == {"rule": "other", "logs": 0, "journal": None, "budget": None}


def test_what_can_be_done_about_the_journal_is_said(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Since nobody can remove one unit's entries; a rule may be named."""
    assert main(["logs", "usage", "shop", *words]) == 0
    said = capsys.readouterr().out
    assert "other" not in said.split("UNIT")[0]
    for word in ("db.service", "an estimate", "LogNamespace=", "LogRateLimitBurst=", "SystemMaxUse="):
        assert word in said


def test_a_journal_that_cannot_be_read_is_no_reason_to_show_nothing(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code tells."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["logs", "usage", *words]) == 3
    done = capsys.readouterr()
    assert "shop" in done.out
    assert "journalctl" in done.err


def test_a_host_without_a_journal(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not one whose journal takes nothing."""
    monkeypatch.setattr(journal_usage, "size_of", lambda: 0)
    assert main(["logs", "usage", "--json", *words]) == 3
    usage = json.loads(capsys.readouterr().out)
    assert (usage["journal"], usage["units"], usage["error"]) == (None, {}, journal_usage.NO_JOURNAL)
