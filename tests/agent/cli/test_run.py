"""`hostward run`: what it says when it cannot begin. What it does when it can is in test_daemon.py."""

from __future__ import annotations

import os
from pathlib import Path

from tests.agent.daemon.daemons import hostward


def test_a_named_configuration_must_exist(tmp_path: Path) -> None:
    """A typing mistake in --config must not start an agent on the defaults."""
    done = hostward("run", "--config", str(tmp_path / "missing.toml"), "--state-dir", str(tmp_path / "state"))
    assert done.returncode == 2
    assert done.stderr == f"hostward: {tmp_path}/missing.toml: there is no such file\n"
    assert not (tmp_path / "state").exists()


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    """It names the folder, the reason and the way out."""
    (tmp_path / "file").touch()
    done = hostward("run", "--state-dir", str(tmp_path / "file" / "state"))
    assert done.returncode == 1
    assert done.stderr == (
        f"hostward: the state folder {tmp_path}/file/state cannot be used: Not a directory; "
        "choose a folder that you can write to with --state-dir DIR, or run as the user it belongs to\n"
    )


def test_a_state_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """And left as it is."""
    import sqlite3

    from agent.state import State

    State.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "agent.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    done = hostward("run", "--state-dir", str(tmp_path))
    assert done.returncode == 1
    assert "was written by a newer Hostward (schema 99" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("*corrupt*"))


def test_help_shows_examples_and_exit_codes() -> None:
    """For each of the commands about the agent itself."""
    for command in ("run", "status", "jobs"):
        done = hostward(command, "--help", COLUMNS="100")
        assert done.returncode == 0
        assert "examples:" in done.stdout
        assert "exit codes:" in done.stdout


def test_the_environment_names_the_configuration(tmp_path: Path) -> None:
    """HOSTWARD_CONFIG is as good as --config."""
    done = hostward("run", "--state-dir", str(tmp_path / "state"), HOSTWARD_CONFIG=os.fspath(tmp_path / "x.toml"))
    assert done.returncode == 2
    assert "x.toml: there is no such file" in done.stderr
