"""The commands of docs/backup.md and of the README's part on backups, run as they stand on a host of files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers import newest_restic
from tests.require import require_program

CODE = """
import sys
from backup.format.keyfile import Cost
from backup.repository import keys
from agent.cli.main import main
keys.calibrated_cost = lambda: Cost(1024, 8, 1)  # a password that is tried takes a third of a second otherwise
sys.exit(main())
"""
PLACES = re.compile(r"(?<![\w.])/(?:srv/|etc/hostward|tmp/)")
"""What stands on the pages is in the test's own folder."""


def shell_blocks(page: str) -> list[str]:
    """In their order."""
    return re.findall(r"```sh\n(.*?)```", page, re.DOTALL)


@pytest.fixture
def host(tmp_path: Path, repository: Path) -> dict[str, str]:
    """A shop with a database, and the environment of its administrator."""
    for program in ("jq", "sqlite3"):
        require_program(program)
    for folder in ("srv/shop", "etc/hostward", "tmp", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "srv/shop/prices.csv").write_text("tea,3\n")
    (tmp_path / "srv/shop/draft.tmp").touch()
    subprocess.run(["sqlite3", tmp_path / "srv/shop/shop.db", "create table sold (what text)"], check=True)
    (tmp_path / "etc/hostward/new.password").write_text("another one\n")
    (tmp_path / "etc/hostward/new.password").chmod(0o600)
    program = tmp_path / "bin" / "hostward"
    program.write_text(f"#!{sys.executable}\n{CODE}")
    program.chmod(0o755)
    (tmp_path / "bin" / "restic").symlink_to(newest_restic())
    base = {name: value for name, value in os.environ.items() if not name.startswith(("HOSTWARD_", "RESTIC_"))}
    return {
        **base,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(repository),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "STATE_DIRECTORY": str(tmp_path / "state"),
    }


def run(lines: str, host: dict[str, str], folder: Path) -> str:
    """What the lines print; the first that fails ends it."""
    lines = PLACES.sub(lambda place: f"{folder}{place[0]}", lines)
    done = subprocess.run(
        ["sh", "-ex", "-c", lines], cwd=folder, env=host, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    return done.stdout


@pytest.mark.timeout(300)
def test_the_page_on_backups_works_in_its_order(repository: Path, host: dict[str, str], tmp_path: Path) -> None:
    """Set up, used, kept, checked, restored by both, with changed passwords, and copied."""
    page = (repository / "docs" / "backup.md").read_text()
    blocks = shell_blocks(page)
    tables = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    jobs = "".join(table for table in tables if table.startswith(("[backups.shop]\nrepository", "[drills.shop]")))
    (tmp_path / "etc/hostward/agent.toml").write_text(PLACES.sub(lambda place: f"{tmp_path}{place[0]}", jobs))
    host["HOSTWARD_CONFIG"] = str(tmp_path / "etc/hostward/agent.toml")
    (tmp_path / "bin/systemctl").symlink_to("/bin/true")  # tests/systemd has the units
    said = run("\n".join(blocks), host, tmp_path)
    assert "snapshot " in said
    assert "tea,3" in said
    assert "CREATE TABLE sold" in said
    assert "no problems were found" in said
    for restored in ("restored", "all", "again", "job"):
        folder = tmp_path / "tmp" / restored / str(tmp_path).lstrip("/")
        assert (folder / "srv/shop/prices.csv").read_text() == "tea,3\n"
    assert not (tmp_path / "tmp" / "then").exists()
    assert len(list((tmp_path / "srv/second/snapshots").iterdir())) == 2
    assert "hostward backup" in blocks[0]


def test_the_readme_makes_a_backup(repository: Path, host: dict[str, str], tmp_path: Path) -> None:
    """In five lines."""
    (lines,) = (block for block in shell_blocks((repository / "README.md").read_text()) if "hostward backup" in block)
    (tmp_path / "etc/hostward/new.password").rename(tmp_path / "etc/hostward/backup.password")
    said = run(lines.replace(" /etc ", " /etc/hostward "), host, tmp_path)
    assert "kept" in said or "keep 1 snapshot" in said
    assert (tmp_path / "tmp/restored" / str(tmp_path).lstrip("/") / "srv/shop/prices.csv").exists()
