"""What docs/backup.md and docs/recovery.md say of home, run as it stands."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.collector.backups.test_server import keeping
from tests.collector.conftest import data_folder as data_folder
from tests.collector.conftest import initialised as initialised
from tests.collector.support import COMMAND, RealHome
from tests.drift.test_backup_page import CODE, PLACES
from tests.peers import newest_restic


def section(page: str, title: str) -> str:
    """What stands below a heading."""
    parts: list[str] = re.findall(rf"^## {title}\n(.*?)^## ", page, re.DOTALL | re.MULTILINE)
    assert len(parts) == 1
    return parts[0]


def blocks(part: str, kind: str) -> list[str]:
    """In their order."""
    return re.findall(rf"```{kind}\n(.*?)```", part, re.DOTALL)


@dataclass
class Host:
    """A host, and its administrator's terminal; that of home's is the same."""

    folder: Path
    data: Path
    repository: Path
    state: str = "state"

    def __post_init__(self) -> None:
        for name in ("srv/shop", "etc/hostward/agent.d", "tmp", "bin"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "srv/shop/prices.csv").write_text("tea,3\n")
        (self.folder / "etc/hostward/agent.toml").touch()
        shutil.copy(self.data / "ca.pem", self.folder)
        at_home = shlex.join(COMMAND)
        config = self.data.parent / "collector.toml"
        programs = {
            "hostward": f"#!{sys.executable}\n{CODE}",
            "hostward-collector": f'#!/bin/sh\n[ "$1" != backup ] || set -- "$@" --config {config}\n'
            f'exec {at_home} "$@" --data-dir {self.data}\n',
        }
        for name, text in programs.items():
            (self.folder / "bin" / name).write_text(text)
            (self.folder / "bin" / name).chmod(0o755)
        (self.folder / "bin/restic").symlink_to(newest_restic())
        (self.folder / "bin/systemctl").symlink_to("/bin/true")  # tests/systemd has the units

    def file(self, name: str, text: str) -> None:
        """One that nobody else can read."""
        (self.folder / name).touch(0o600)
        (self.folder / name).write_text(text)

    def run(self, *lines: str, **variables: str) -> str:
        """What they print; the first that fails ends it."""
        text = PLACES.sub(lambda place: f"{self.folder}{place[0]}", "\n".join(lines))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("HOSTWARD_", "RESTIC_"))},
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.repository),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "STATE_DIRECTORY": str(self.folder / self.state),
            "HOSTWARD_CONFIG": str(self.folder / "etc/hostward/agent.toml"),
            **variables,
        }
        done = subprocess.run(
            ["sh", "-ex", "-c", text], cwd=self.folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def enroll(self, home: RealHome, name: str) -> None:
        """At home, with a new token."""
        words = f"--collector {home.url} --ca ca.pem --name {name} --token-file -"
        self.run(f"hostward-collector token create | hostward enroll {words}")

    def has_restored(self, where: str) -> bool:
        """Whether the file came back below that folder."""
        file = self.folder / where / str(self.folder).lstrip("/") / "srv/shop/prices.csv"
        return file.read_text() == "tea,3\n"


@pytest.mark.timeout(180)
def test_the_part_on_home_works_in_its_order(repository: Path, data_folder: Path, tmp_path: Path) -> None:
    """Saved by our command, read and restored by both; the bare restic of Debian 12 is tried elsewhere."""
    page = (repository / "docs" / "backup.md").read_text()
    host = Host(tmp_path / "host", data_folder, repository)
    host.file("etc/hostward/backup.password", "a password\n")
    with keeping(data_folder) as home:
        host.enroll(home, "web1")
        said = host.run(*blocks(section(page, "Home"), "shell"))
    assert "1 snapshot" in said
    assert host.has_restored("tmp/home") and host.has_restored("tmp/restic")


@pytest.mark.timeout(180)
def test_a_host_is_backed_up_home_from_nothing_lost_and_restored(
    repository: Path, data_folder: Path, tmp_path: Path
) -> None:
    """By the first steps of docs/backup.md, then by what docs/recovery.md says of home."""
    page = section((repository / "docs" / "backup.md").read_text(), "The first backup at home")
    keep, tables = blocks(page, "toml")
    host = Host(tmp_path / "host", data_folder, repository)
    tables = tables.replace('["/etc", "/home", "/root", "/srv"]', f'["{host.folder}/srv/shop"]')
    (host.folder / "etc/hostward/agent.d/backup.toml").write_text(
        tables.replace('"/etc/hostward/', f'"{host.folder}/etc/hostward/')
    )
    with keeping(data_folder, keep.replace("[backups]", "")) as home:
        host.enroll(home, "web1")
        said = host.run(*blocks(page, "shell"))
        assert "recovery time" in said
        assert host.has_restored("tmp/look")
        shutil.copy(host.folder / "etc/hostward/backup.password", host.folder / "tmp/password")

        part = section((repository / "docs" / "recovery.md").read_text(), "Home").replace("shop", "system")
        revoke, restart, restore, bare, anew, lost = blocks(part, "shell")
        (table,) = blocks(part, "toml")
        (old,) = json.loads(host.run("hostward-collector host list --json"))
        host.run(revoke)
    (host.folder / "srv/shop/prices.csv").unlink()
    host.state = "another"
    with keeping(data_folder, table.replace("0123456789abcdef", old["id"])) as home:
        host.run(restart, restore.replace("https://home.example.net:8443", home.url))
        assert (host.folder / "srv/shop/prices.csv").read_text() == "tea,3\n"
        place = data_folder / "backups" / old["id"]
        bare = bare.replace("/var/lib/hostward-collector/backups/ID-OF-THE-HOST", '"$PLACE"')
        assert "1 snapshot" in host.run("export RESTIC_PASSWORD_FILE=/tmp/password", bare, PLACE=str(place))
        shutil.rmtree(place)
        host.run(lost, anew)
        assert len(list((place / "snapshots").iterdir())) == 1
