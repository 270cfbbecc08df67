"""A backup job that takes old logs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli.main import main
from backup.format.keyfile import Cost


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The table of the job `old`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    return (
        f'[backups.old]\nrepository = "{tmp_path}/repository"\npassword_file = "{tmp_path}/password"\n'
        'paths = ["/nothing"]\n'
    )


@pytest.fixture
def make_repository(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes the job's repository, cheap to open, by a file of configuration that has it."""
    monkeypatch.setattr("backup.repository.keys.calibrated_cost", lambda: Cost(1024, 8, 1))

    def make(config: Path) -> None:
        assert main(["backup", "init", "--job", "old", "--config", str(config), "--quiet"]) == 0

    return make
