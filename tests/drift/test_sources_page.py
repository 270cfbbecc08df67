"""The section on sources of docs/backup.md: its jobs are run, and what they saved comes back by its commands."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.agent.checks.daemons import mariadb, postgres, redis_server
from tests.drift.test_backup_page import PLACES, host
from tests.require import require_program

__all__ = ["host"]


def fences(section: str, language: str) -> list[str]:
    """The blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


@pytest.mark.timeout(300)
def test_the_section_on_sources_works(
    repository: Path, host: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Databases of real servers are saved and restored into others by their own tools."""
    for program in ("pg_dump", "mariadb-dump", "redis-server"):
        require_program(program)
    page = (repository / "docs" / "backup.md").read_text()
    (section,) = re.findall(r"^## Sources\n(.*?)^## ", page, re.DOTALL | re.MULTILINE)
    (jobs,) = fences(section, "toml")
    saving, restoring = fences(section, "bash")
    (tmp_path / "etc/hostward/backup.password").write_text("secret\n")
    (tmp_path / "etc/hostward/backup.password").chmod(0o600)
    (tmp_path / "srv/grafana").mkdir()
    with closing(sqlite3.connect(tmp_path / "srv/grafana/grafana.db")) as connection:
        connection.execute("CREATE TABLE panels (name TEXT)")
    configuration = tmp_path / "etc/hostward/agent.toml"
    host["HOSTWARD_CONFIG"] = str(configuration)

    def run(lines: str, **environment: str) -> None:
        lines = lines.replace("/sqlite/srv", f"/sqlite{tmp_path}/srv")
        lines = PLACES.sub(lambda place: f"{tmp_path}{place[0]}", lines)
        done = subprocess.run(
            ["bash", "-ec", f"set -o pipefail; {lines}"], cwd="/", env={**host, **environment},
            capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    with postgres() as live, mariadb() as wiki, redis_server("--repl-diskless-sync-delay", "0") as port:
        live.sql("CREATE ROLE clerk")
        live.sql("CREATE DATABASE shop OWNER clerk")
        live.sql("CREATE TABLE goods AS SELECT generate_series(1, 100) n; ALTER TABLE goods OWNER TO clerk", "shop")
        wiki.sql("CREATE DATABASE wiki", "CREATE TABLE wiki.pages (n INT)", "INSERT INTO wiki.pages VALUES (7)")
        wiki.sql("CREATE USER clerk@localhost")
        run_as = 'run_as = "postgres"\n' if os.geteuid() == 0 else ""
        told = PLACES.sub(lambda place: f"{tmp_path}{place[0]}", jobs)
        told = told.replace('run_as = "postgres" ', f'{run_as}host = "{live.folder}"\nport = {live.port} ')
        told = told.replace("/run/mysqld/mysqld.sock", str(wiki.socket)).replace("6379", str(port))
        configuration.write_text(told)
        run(saving)
    with postgres() as fresh, mariadb() as empty:
        (tmp_path / ".my.cnf").write_text(f"[client]\nsocket={empty.socket}\nuser=root\n")
        run(
            restoring,
            PGHOST=str(fresh.folder),
            PGPORT=str(fresh.port),
            PGUSER="postgres",
            HOME=str(tmp_path),
        )
        assert fresh.sql("SELECT sum(n) FROM goods", "shop") == [(5050,)]
        assert fresh.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'goods'", "shop") == [("clerk",)]
        assert empty.sql("SELECT n FROM wiki.pages") == [(7,)]
        assert empty.sql("SELECT user FROM mysql.user WHERE user = 'clerk'") == [("clerk",)]
    assert (tmp_path / "tmp/dump.rdb").read_bytes().startswith(b"REDIS")
    with closing(sqlite3.connect(tmp_path / "tmp/grafana.db")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("panels",)]
    assert "bash" in (tmp_path / "tmp/selections").read_text()
    assert len(list((tmp_path / "srv/dumps/snapshots").iterdir())) == 5
