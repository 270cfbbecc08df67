"""The table of a backup job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.config.backups import BackupOptions
from agent.config.load import load
from kit.errors import ConfigurationError


def job(tmp_path: Path, text: str) -> BackupOptions:
    """The job `etc` of a file with these lines besides what every job needs."""
    file = tmp_path / "agent.toml"
    given = "" if "repository" in text else 'repository = "/srv/backup"\n'
    file.write_text(f'[backups.etc]\npaths = ["/etc"]\n{given}{text}\n')
    return load(file).backups["etc"]


def refusal(tmp_path: Path, text: str) -> str:
    """What is said of such a job."""
    with pytest.raises(ConfigurationError) as error:
        job(tmp_path, text)
    return str(error.value)


def test_a_job_needs_paths_and_a_repository_and_watches_nothing(tmp_path: Path) -> None:
    """All else has defaults."""
    found = job(tmp_path, "")
    assert found == BackupOptions(repository="/srv/backup", paths=("/etc",))
    assert not found.watch
    (tmp_path / "agent.toml").write_text("[backups.etc]\n")
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path / "agent.toml")
    assert 'needs the key "repository"' in str(error.value)
    assert 'needs the key "paths"' in str(error.value)


@pytest.mark.parametrize(
    "location",
    [
        "rest:https://web1:hunter2@home.example.com/web1/",
        "sftp:web1:hunter2@home.example.com:/srv",
        "sftp://web1:hunter2@home.example.com//srv",
        "s3:https://KEY:hunter2@s3.example.com/bucket",
    ],
)
def test_a_password_in_the_location_is_refused(tmp_path: Path, location: str) -> None:
    """With a sentence that says where it belongs, and does not hold it."""
    said = refusal(tmp_path, f'repository = "{location}"')
    assert "environment_file" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "location",
    [
        "/srv/a:b:c@d",
        "./a:b@c",
        "local:/srv/a:b@c",
        "sftp:web1@home.example.com:/srv/a@b",
        "sftp://web1@home.example.com:22//srv",
        "s3:https://s3.example.com:9000/bucket/a@b",
        "rest:https://home.example.com:8000/web1/",
        "rest:https://web1@home.example.com:8000/a:b@c/",
    ],
)
def test_other_locations_are_taken(tmp_path: Path, location: str) -> None:
    """Colons and @ mean more than passwords."""
    assert job(tmp_path, f'repository = "{location}"').repository == location


def test_a_password_in_the_table_is_refused(tmp_path: Path) -> None:
    """And not shown."""
    said = refusal(tmp_path, 'password = "hunter2"')
    assert '"password_file"' in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('password_file = "/p"\npassword_command = ["/bin/p"]', "exclude each other"),
        ('password_file = "p"', "full path"),
        ('environment_file = "credentials:x"', "full path"),
        ('pack_size = "4097KiB"', "whole MiB"),
        ('compression = "best"', '"auto", "off" or "max"'),
        ('tags = ["a,b"]', "tags"),
        ('every = "1h"', "no such key"),
    ],
)
def test_mistakes_are_told_in_a_sentence(tmp_path: Path, text: str, part: str) -> None:
    """What, and what was expected."""
    assert part in refusal(tmp_path, text)


def test_the_configuration_loads_nothing_of_the_backups(tmp_path: Path) -> None:
    """The daemon reads it too, and stays light."""
    (tmp_path / "agent.toml").write_text(
        '[backups.etc]\nrepository = "/srv/backup"\npaths = ["/etc"]\nwatch = true\n'
    )
    probe = (
        "import sys; from pathlib import Path; from agent.config.load import load; import agent.daemon.loop; "
        "assert load(Path(sys.argv[1])).backups; "
        "print([name for name in sys.modules if name.startswith('agent.backup')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, str(tmp_path / "agent.toml")], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "[]\n", done.stderr
