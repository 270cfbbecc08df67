"""Which folder a command means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.paths import state_folder


@pytest.fixture
def somebody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of a user's own, of one who is not root; it is not there yet."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.F_OK and access(path, mode))
    return tmp_path / "hostward"


def test_a_user_of_a_host_with_an_agent_means_that_agent(somebody: Path, tmp_path: Path) -> None:
    """So `status` says that root is needed, and `enroll` does not enroll an agent that nobody runs."""
    system = tmp_path / "system"
    system.mkdir()
    assert state_folder(None, system=system) == system


def test_a_user_has_a_folder_where_there_is_no_other_agent_or_it_is_theirs_already(
    somebody: Path, tmp_path: Path
) -> None:
    """Root is not needed to run one's own."""
    system = tmp_path / "system"
    assert state_folder(None, system=system) == somebody
    system.mkdir()
    somebody.mkdir()
    assert state_folder(None, system=system) == somebody


def test_what_is_named_wins(somebody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option before what systemd gives, that before the defaults."""
    monkeypatch.setenv("STATE_DIRECTORY", "/given")
    assert state_folder(None) == Path("/given")
    assert state_folder(tmp_path) == tmp_path
