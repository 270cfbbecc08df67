"""Old logs in a backup repository, and the proof of it, with the real repository."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.logs.rules.archive import Archive, proof_of


@pytest.fixture
def config(tmp_path: Path, job: str, make_repository: Callable[[Path], None]) -> Path:
    """A configuration with the job `old`, whose repository is there."""
    file = tmp_path / "agent.toml"
    file.write_text(job)
    make_repository(file)
    return file


def test_what_is_saved_is_proved(config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each file is read back from the repository; one that is not there is named and keeps no other from it."""
    files = [tmp_path / f"log.{number}" for number in range(3)]
    for number, file in enumerate(files):
        file.write_bytes(os.urandom(300_000 * number))
    archive = Archive("old", config=config, tags=["logs", "rule:web"])
    proved, errors = archive.save([*map(str, files), str(tmp_path / "gone")])
    assert errors == [f"{tmp_path}/gone: No such file or directory"]
    assert proved == {str(file): proof_of(str(file)) for file in files}
    capfd.readouterr()
    assert main(["backup", "snapshots", "--job", "old", "--config", str(config), "--tag", "logs,rule:web"]) == 0
    assert "log.2" in capfd.readouterr().out


def test_what_is_damaged_is_not_proved(config: Path, tmp_path: Path) -> None:
    """A repository whose packs lost a byte gives no proof."""
    file = tmp_path / "log.1"
    file.write_bytes(os.urandom(100_000))
    archive = Archive("old", config=config, tags=["logs"])
    (proved, _) = archive.save([str(file)])
    assert len(proved) == 1
    for pack in (tmp_path / "repository" / "data").glob("*/*"):
        data = bytearray(pack.read_bytes())
        data[len(data) // 3] ^= 1
        pack.chmod(0o600)
        pack.write_bytes(data)
    proved, errors = archive.save([str(file)])  # what is known already is not written again
    assert proved == {}
    assert len(errors) == 1
    assert errors[0].startswith("the backup job old: ")


def test_without_a_repository(tmp_path: Path) -> None:
    """A job that there is not is told as a command of backups tells it."""
    file = tmp_path / "agent.toml"
    file.touch()
    (tmp_path / "log.1").write_bytes(b"line\n")
    proved, errors = Archive("none", config=file, tags=[]).save([str(tmp_path / "log.1")])
    assert proved == {}
    assert errors == ['the backup job none: there is no backup job "none"; no job is configured']


def test_what_is_no_file_is_not_saved(config: Path, tmp_path: Path) -> None:
    """A link that somebody put there is not followed."""
    (tmp_path / "log.1").symlink_to("/etc/passwd")
    (tmp_path / "log.2").mkdir()
    proved, errors = Archive("old", config=config, tags=[]).save([f"{tmp_path}/log.1", f"{tmp_path}/log.2"])
    assert proved == {}
    assert errors[1] == f"{tmp_path}/log.2: it is no regular file"
    assert len(errors) == 2
