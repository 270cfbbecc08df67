"""Every command that is named can be loaded and explains itself, with examples."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from agent.cli import dispatch as agent
from agent.cli.backup import dispatch as backup
from agent.cli.logs import dispatch as logs
from agent.config.load import load
from collector.cli import dispatch as collector
from rollout.cli import dispatch as rollout

PROGRAMS = [
    ("agent.cli.main", "", agent.COMMANDS),
    ("agent.cli.main", "backup ", backup.COMMANDS),
    ("agent.cli.main", "logs ", logs.COMMANDS),
    ("collector.cli", "", collector.COMMANDS),
    ("rollout.cli", "", rollout.COMMANDS),
]
"""Entry point, what stands before each of the names, and the commands."""
CALLED = {"agent.cli.main": "hostward", "collector.cli": "hostward-collector", "rollout.cli": "hostward-rollout"}
COMMANDS = [
    (program, before + name, place, summary)
    for program, before, commands in PROGRAMS
    for name, (place, summary) in commands.items()
    if name not in ("backup", "logs", "logrotate")  # programs of their own, and one whose help is logrotate's
]


@pytest.mark.parametrize(("program", "name", "place", "summary"), COMMANDS, ids=[f"{c[0]} {c[1]}" for c in COMMANDS])
def test_a_command_explains_itself(
    program: str, name: str, place: str, summary: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """--help says what it does and shows examples that call it by its name."""
    with pytest.raises(SystemExit) as end:
        import_module(program).main([*name.split(), "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    called = f"{CALLED[program]} {name}"
    assert text.startswith(f"usage: {called}")
    assert summary[1:] in " ".join(text.split())
    assert "examples:" in text
    assert called in text.partition("examples:")[2]
    assert import_module(place.partition(":")[0]).__doc__


@pytest.mark.parametrize(("program", "before"), [(program, before) for program, before, _ in PROGRAMS])
def test_the_overview_names_every_command(program: str, before: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what it is for."""
    assert import_module(program).main([*before.split(), "--help"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for owner, group, commands in PROGRAMS:
        for name, (_, summary) in commands.items():
            assert (f"{name} {summary}" in lines) == ((owner, group) == (program, before))


@pytest.mark.parametrize("program", list(CALLED))
def test_a_mistyped_command_is_answered_with_the_nearest(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And exit code 2."""
    name = next(c[1] for c in COMMANDS if c[0] == program and " " not in c[1] and len(c[1]) > 3)
    assert import_module(program).main([name + "x"]) == 2
    assert f'did you mean "{name}"?' in capsys.readouterr().err


def test_the_page_on_backups_has_every_command(repository: Path) -> None:
    """In the words of the overview."""
    page = (repository / "docs" / "backup.md").read_text()
    for name, (_, summary) in backup.COMMANDS.items():
        assert f"| `{name}` | {summary} |" in page


def test_the_configuration_that_the_readme_shows_is_valid(repository: Path, tmp_path: Path) -> None:
    """All of it at once."""
    blocks = re.findall(r"^```toml\n(.*?)^```", (repository / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) > 1
    (tmp_path / "agent.toml").write_text("\n".join(blocks))
    load(tmp_path / "agent.toml")
