"""The commands of docs/recovery.md, run as they stand on a host with files and a PostgreSQL server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.backups.wal.servers import Archive, archive
from tests.agent.cli.backup.repos import PASSWORD
from tests.drift.test_backup_page import CODE, PLACES, run, shell_blocks
from tests.peers import newest_restic
from tests.require import require_program, require_root

JOBS = """
[backups.shop]
repository = "/srv/backup"
password_file = "/tmp/password"
paths = ["/srv/shop"]
[[backups.shop.copies]]
repository = "/srv/second"
password_file = "/tmp/password"
init = true
[backups.orders]
repository = "/srv/backup"
password_file = "/tmp/password"
[backups.orders.postgresql]
host = "{folder}"
port = {port}
databases = ["orders"]
run_as = "postgres"
[backups.orders-base]
repository = "/srv/backup"
password_file = "/tmp/password"
[backups.orders-base.postgresql_base]
host = "{folder}"
port = {port}
scratch = "{top}/scratch"
checkpoint = "fast"
run_as = "postgres"
[backups.orders-wal]
repository = "/srv/backup"
password_file = "/tmp/password"
[backups.orders-wal.postgresql_wal]
spool = "{spool}"
[drills.shop]
backup = "shop"
weekly = "sunday 04:00"
[recovery]
contacts = ["On call: Jörg Müller"]
"""
SECRETS = (PASSWORD, "the second one")


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Archive]:
    require_root()
    require_program("runuser")
    (tmp_path / "own").mkdir()
    with archive(tmp_path / "own") as made:
        yield made


@pytest.fixture
def host(found: Archive, tmp_path: Path, repository: Path) -> dict[str, str]:
    """All jobs have run; then a file and a database are lost."""
    for folder in ("srv/shop", "etc/hostward", "tmp", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "srv/backup").symlink_to(found.place.folder)
    (tmp_path / "srv/shop/prices.csv").write_text("tea,3\n")
    for name, secret in (("tmp/password", PASSWORD), ("etc/hostward/second.password", SECRETS[1])):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(secret + "\n")
    jobs = JOBS.format(folder=found.server.folder, port=found.server.port, top=found.top, spool=found.spool)
    config = tmp_path / "etc/hostward/agent.toml"
    for before in ('"/srv/', '"/tmp/password'):
        jobs = jobs.replace(before, f'"{tmp_path}{before[1:]}')
    config.write_text(jobs)
    program = tmp_path / "bin/hostward"
    program.write_text(f"#!{sys.executable}\n{CODE}")
    program.chmod(0o755)
    (tmp_path / "bin/restic").symlink_to(newest_restic())
    base = {name: value for name, value in os.environ.items() if not name.startswith(("HOSTWARD_", "RESTIC_"))}
    return {
        **base,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(repository),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "STATE_DIRECTORY": str(tmp_path / "state"),
        "HOSTWARD_CONFIG": str(config),
        "PGHOST": str(found.server.folder),
        "PGPORT": str(found.server.port),
        "PGUSER": "postgres",
    }


def psql(host: dict[str, str], statement: str, database: str = "postgres") -> str:
    words = ["runuser", "-u", "postgres", "--", "psql", "-X", "-A", "-t", "-d", database, "-c", statement]
    return subprocess.run(words, env=host, cwd="/", capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.root
@pytest.mark.timeout(300)
def test_the_page_on_the_worst_day_works_in_its_order(
    repository: Path, host: dict[str, str], found: Archive, tmp_path: Path
) -> None:
    """A file, a bare machine with both programs, a database, a moment, a copy, a password, a break-in."""
    psql(host, "create database orders")
    psql(host, "create table sold as select generate_series(1, 100) as id", "orders")
    run("hostward backup run shop orders orders-base --quiet", host, tmp_path)
    psql(host, "insert into sold values (101)", "orders")
    moment = found.now()
    psql(host, "select pg_sleep(1.1)")  # what is known of WAL is when it was archived, to the second
    psql(host, "drop table sold", "orders")
    found.archived()
    run("hostward backup run orders-wal --quiet", host, tmp_path)
    psql(host, "drop database orders")
    (tmp_path / "srv/shop/prices.csv").unlink()

    page = (repository / "docs" / "recovery.md").read_text()
    lines = "\n".join(shell_blocks(page)).replace("2026-11-22 14:30:05", moment)
    # The server's user cannot come into the test's own folder.
    lines = lines.replace("/srv/postgresql/restored", '"$RESTORED"')
    said = run(lines, {**host, "RESTORED": str(found.top / "restored")}, tmp_path)

    assert (tmp_path / "srv/shop/prices.csv").read_text() == "tea,3\n"
    for restored in ("bare", "second", "before"):
        folder = tmp_path / "tmp" / restored / str(tmp_path).lstrip("/")
        assert (folder / "srv/shop/prices.csv").read_text() == "tea,3\n"
    assert psql(host, "select count(*) from sold", "orders") == "100"
    assert (found.top / "restored/recovery.signal").exists()
    assert "no problems were found" in said
    assert "CREATE ROLE postgres" in (tmp_path / "tmp/globals.sql").read_text()
    assert len(list((tmp_path / "srv/clean/snapshots").iterdir())) == 1

    kit = (tmp_path / "tmp/recovery-kit.txt").read_text()
    assert "Jörg Müller" in kit
    assert "/postgresql/orders.dump" in kit
    opened = (tmp_path / "tmp/recovery-kit.pdf").read_bytes()
    assert opened.startswith(b"%PDF-")
    assert not any(secret in kit or secret.encode() in opened for secret in SECRETS)
    assert PLACES.search(page)
