"""`make install`, as far as it shows without installing: a host of its own would be needed for the rest."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.require import require_root

SCRIPTS = ("systemd/install.sh", "systemd/uninstall.sh", "requirements/venv.sh")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_one_that_sh_can_run(repository: Path, script: str) -> None:
    """Debian's /bin/sh is no bash."""
    assert (repository / script).stat().st_mode & 0o111
    done = subprocess.run(["sh", "-n", script], cwd=repository, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_make_gives_the_version_and_the_part(repository: Path) -> None:
    """Each target knows what it installs, and where."""
    version = re.findall(r'__version__ = "(.+)"', (repository / "kit/version.py").read_text())[0]
    for target, part in (("install", "agent"), ("install-collector", "collector")):
        done = subprocess.run(
            ["make", "--dry-run", "PYTHON=python3", target],
            cwd=repository,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["./systemd/install.sh", "python3", "/opt/hostward", version, part]
        done = subprocess.run(
            ["make", "--dry-run", "PYTHON=python3", "EXTRAS=postgresql redis", target],
            cwd=repository,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split()[4:] == [part, "postgresql", "redis"]


def test_each_driver_has_a_lock_of_its_own(repository: Path) -> None:
    """With the versions that are tested, and all that it needs besides the agent's own packages."""
    extras = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    del extras["collector"], extras["deploys"]  # what a server and an administrator's machine have
    files = {file.stem: file for file in (repository / "requirements/extras").iterdir()}
    assert files.keys() == extras.keys()
    named = re.findall(r"^DRIVERS := (.+)$", (repository / "Makefile").read_text(), re.MULTILINE)
    assert named == [" ".join(sorted(extras))]
    dev = locked(repository / "requirements/dev.txt")
    for extra, file in files.items():
        assert names(extras[extra]) <= locked(file).keys()
        assert locked(file).items() <= dev.items(), "make lock"
        assert file.read_text().count("--hash=sha256:") >= len(locked(file))


@pytest.mark.root
def test_an_extra_that_there_is_not_is_refused_before_anything_is_made(repository: Path, tmp_path: Path) -> None:
    """With those that there are; nor is a path one."""
    require_root()
    for wrong in ("postgres", "../agent", "redis/"):
        done = subprocess.run(
            ["systemd/install.sh", "python3", str(tmp_path / "prefix"), "1", "agent", "redis", wrong],
            cwd=repository,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        expected = (
            f'hostward: there is no extra "{wrong}"; expected some of: dns fuse mysql pdf postgresql redis s3 sftp\n'
        )
        assert done.stderr == expected
        assert list(tmp_path.iterdir()) == []


def test_the_agents_lock_holds_what_the_agent_needs_and_nothing_of_the_collectors(repository: Path) -> None:
    """A host that only has the agent carries no web server and no SQL toolkit."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    agent, run = (locked(repository / f"requirements/{name}.txt") for name in ("agent", "run"))
    assert names(project["dependencies"]) <= agent.keys()
    assert not names(project["optional-dependencies"]["collector"]) & agent.keys()
    assert agent.items() <= run.items(), "both locks have the same versions: make lock"


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^a-z0-9-]", requirement, maxsplit=1)[0] for requirement in requirements}


def locked(file: Path) -> dict[str, str]:
    """Versions by name."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", file.read_text(), re.MULTILINE))
