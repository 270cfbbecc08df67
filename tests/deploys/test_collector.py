"""Home on a host that has nothing but Debian, Python and sshd."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from collector import tls
from collector.store.tables import REVISION
from kit.homefile import HomeError, open_home
from tests.agent.checks.daemons import Postgres, postgres
from tests.deploys.support import changes, deploy, inventory
from tests.deploys.test_agent import cache, plain, source  # noqa: F401 -- a fixture is found by its name
from tests.fleet.fleet import Fleet
from tests.fleet.homes import until
from tests.fleet.host import Host

FIRST, BROKEN = "0.9.1", "0.9.2"
PASSWORD = "a-password-that-nobody-sees"
PASSWORDS = "pg-one-that-nobody-sees", "pg-two-that-nobody-sees"
LOGIN = """
import sqlite3, sys
from collector.credentials import is_password
database = sqlite3.connect("/var/lib/hostward-collector/collector.db")
stored = database.execute("SELECT password_hash FROM users").fetchone()
sys.exit(not is_password(sys.stdin.read(), stored[0]))
"""
MIGRATION = f"""
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = "{REVISION}"


def upgrade() -> None:
    op.create_table("broken", sa.Column("id", sa.Text()))
"""


@pytest.mark.usefixtures("cache")
def test_a_home_from_nothing_is_asked_saved_upgraded_and_put_back(
    fleet: Fleet, tmp_path: Path, repository: Path
) -> None:
    """No rerun changes more; a version that migrates its database and is not ready leaves it all as it was."""
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD)
    file = tmp_path / "mine/home.toml"
    with fleet.hosts(1, fleet.blank) as [host]:
        host.run("mkdir -m 700 /srv/backup")
        options: dict[str, Any] = {
            "source": str(source(repository, tmp_path, FIRST)),
            "names": [host.address],
            "patience": 240,
            "password": {"file": str(secret)},
            "config": {"history": {"retention": "30d"}},
            "ask": {"url": f"https://{host.address}:8443", "file": str(file)},
            "backup": {
                "repository": "/srv/backup",
                "password": {"file": str(secret)},
                "table": {"every": "2s", "verify": True},
                "writable": ["/srv/backup"],
            },
        }

        def run(changed: Mapping[str, Any], *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
            hosts = inventory(tmp_path / "hosts.py", [host], data={"collector": {**options, **changed}})
            done = deploy(hosts, "collector", *words, check=check)
            assert PASSWORD not in done.stdout + done.stderr
            return done

        run({}, "--dry")
        assert host.run("ls -d /opt/hostward /etc/hostward", check=False).stdout == ""
        assert f"hostward: none to {FIRST}" in plain(run({}))
        host.run(["/opt/hostward/current/bin/python", "-c", LOGIN], input=PASSWORD)
        assert file.with_name("api-token").stat().st_mode & 0o777 == 0o600
        assert hosts_of(file) == []
        assert changes(run({})) == 0

        host.run("systemctl enable --now hostward-agent", timeout=120)
        until(lambda: saved(host) == {"home-database", "home-keys"}, "the agent saves home, and reads it back")
        host.run("systemctl stop hostward-agent")
        listed = host.run(
            "hostward backup ls latest --job home-keys --tag job:home-keys; "
            "hostward backup ls latest --job home-database --tag job:home-database"
        ).stdout
        for name in ("ca.key", "server.pem", "collector.db", "/etc/hostward/collector.toml"):
            assert name in listed

        assert "Will write /etc/hostward/collector.toml" in plain(run({"config": {}}, "--dry", "--diff"))
        wrong = run({"config": {"history": {"retention": "soon"}}}, check=False)
        assert "the configuration has mistakes: " in plain(wrong)
        assert "(left alone)" in plain(wrong)

        before = fingerprint(host)
        broken = broken_source(repository, tmp_path)
        failed = run({"source": str(broken), "patience": 5, "config": {}}, check=False)
        assert "home was not ready within 5 s: " in plain(failed), plain(failed)
        assert "(rolled back)" in plain(failed)
        assert fingerprint(host) == before
        until(lambda: answers(file), "the home that was put back is up")
        assert changes(run({})) == 0
        host.run("systemctl disable --quiet hostward-agent")
        run({"state": "absent", "password": None})
        assert "hostward" not in host.run("ls /etc/systemd/system /usr/local/bin /opt").stdout
        assert host.run("ls /var/lib/private/hostward-collector/collector.db").stdout
        assert changes(run({"state": "absent"})) == 0


@pytest.mark.usefixtures("cache")
def test_a_home_in_postgresql_with_a_certificate_of_another_authority(
    fleet: Fleet, tmp_path: Path, repository: Path
) -> None:
    """Set up, saved, put back with its database where a migration goes wrong, given another password, removed."""
    secret, theirs, other = tmp_path / "secret", tmp_path / "theirs", tmp_path / "other"
    secret.write_text(PASSWORD)
    theirs.write_text(PASSWORDS[0])
    other.mkdir()
    tls.create_authority(other, datetime.datetime.now(datetime.UTC))
    with fleet.hosts(1, fleet.blank) as [host], postgres("listen_addresses = '*'") as server:
        tls.issue_server_certificate(other, [host.address, fleet.address], datetime.datetime.now(datetime.UTC))
        demand_tls(server, other / "server.pem")
        server.sql(f"CREATE ROLE home LOGIN PASSWORD '{PASSWORDS[0]}'")
        server.sql("CREATE DATABASE home OWNER home")
        host.run("mkdir -m 700 /srv/backup; mkdir -m 755 /etc/authorities")
        host.write("/etc/authorities/database.pem", (other / "ca.pem").read_text())
        address = f"postgresql://home@{fleet.address}:{server.port}/home"
        options: dict[str, Any] = {
            "source": str(source(repository, tmp_path, FIRST)),
            "patience": 240,
            "password": {"file": str(secret)},
            "certificate": {"pem": {"file": str(other / "server.pem")}, "ca": str(other / "ca.pem")},
            "database": {
                "url": f"{address}?sslmode=verify-full&sslrootcert=/etc/authorities/database.pem",
                "password": {"file": str(theirs)},
            },
            "ask": {"url": f"https://{host.address}:8443", "file": str(tmp_path / "mine/home.toml")},
            "backup": {
                "repository": "/srv/backup",
                "password": {"file": str(secret)},
                "table": {"every": "2s", "verify": True},
                "writable": ["/srv/backup"],
            },
        }

        def run(changed: Mapping[str, Any], *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
            hosts = inventory(tmp_path / "hosts.py", [host], data={"collector": {**options, **changed}})
            done = deploy(hosts, "collector", *words, check=check)
            assert not any(word in done.stdout + done.stderr for word in (PASSWORD, *PASSWORDS))
            return done

        run({})
        assert hosts_of(tmp_path / "mine/home.toml") == []
        assert server.sql("SELECT count(*) FROM pg_stat_ssl WHERE ssl AND pid <> pg_backend_pid()")[0][0] > 0
        assert changes(run({})) == 0

        host.run("systemctl enable --now hostward-agent", timeout=120)
        until(lambda: saved(host) == {"home-database", "home-keys"}, "the agent saves home, and reads it back")
        host.run("systemctl stop hostward-agent")
        host.run(
            "hostward backup dump latest /collector.db --job home-database --tag job:home-database >/srv/home.db; "
            "hostward backup ls latest --job home-keys --tag job:home-keys | grep -q database.toml"
        )
        assert (
            host.run(
                "python3 -c \"import sqlite3; print(sqlite3.connect('/srv/home.db').execute("
                "'SELECT name FROM users').fetchall())\""
            ).stdout
            == "[('admin',)]\n"
        )

        known = rows(server)
        failed = run({"source": str(broken_source(repository, tmp_path)), "patience": 5}, check=False)
        assert "home was not ready within 5 s: " in plain(failed), plain(failed)
        assert "(rolled back)" in plain(failed)
        assert rows(server) == known
        until(lambda: answers(tmp_path / "mine/home.toml"), "the home that was put back is up")
        assert changes(run({})) == 0

        server.sql(f"ALTER ROLE home PASSWORD '{PASSWORDS[1]}'")
        theirs.write_text(PASSWORDS[1])
        run({})
        assert changes(run({})) == 0
        moved = run({"database": None}, check=False)
        assert "and not as asked for: with home stopped, `hostward-collector database move`" in plain(moved)

        run({"state": "absent"})
        assert (
            "hostward-collector" not in host.run("ls /etc/systemd/system /usr/local/bin; systemctl list-units").stdout
        )
        assert host.run("ls /etc/hostward/agent.d").stdout == ""
        host.run("systemctl start hostward-agent")  # which goes on with the release
        assert host.run("ls /var/lib/private/hostward-collector/database.toml").stdout
        assert changes(run({"state": "absent"})) == 0


def demand_tls(server: Postgres, pem: Path) -> None:
    """From everybody who comes by an address of the network."""
    shutil.copy(pem, server.data / "server.pem")
    status = server.data.stat()
    os.chown(server.data / "server.pem", status.st_uid, status.st_gid)
    (server.data / "server.pem").chmod(0o600)
    with (server.data / "pg_hba.conf").open("a") as rules:
        rules.write("hostssl all all all scram-sha-256\n")
    for name in ("ssl_cert_file", "ssl_key_file"):
        server.sql(f"ALTER SYSTEM SET {name} = 'server.pem'")
    server.sql("ALTER SYSTEM SET ssl = on")
    server.sql("SELECT pg_reload_conf()")


def rows(server: Postgres) -> list[tuple[Any, ...]]:
    """What home knows, as far as a change of the release could lose it: its version and its people."""
    return [
        *server.sql("SELECT version_num FROM alembic_version", "home"),
        *server.sql("SELECT id, name, password_hash FROM users", "home"),
        *server.sql("SELECT id, token_hash FROM api_tokens", "home"),
        *server.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1", "home"),
    ]


def broken_source(repository: Path, folder: Path) -> Path:
    """A checkout of a version that migrates the database, and does not start."""
    broken = source(repository, folder, BROKEN)
    tables = broken / "collector/store/tables.py"
    tables.write_text(tables.read_text().replace(f'REVISION = "{REVISION}"', 'REVISION = "9999"'))
    (broken / "collector/store/migrations/versions/v9999_broken.py").write_text(MIGRATION)
    server = broken / "collector/server.py"
    server.write_text(server.read_text().replace("def serve(", "def _serve(") + BREAKS)
    return broken


BREAKS = """

def serve(*_given: object, **_more: object) -> None:
    raise SystemExit("this one does not start")
"""


def hosts_of(file: Path) -> list[Any]:
    """What home answers to whoever has this file."""
    home = open_home(file)
    try:
        found: list[Any] = home.get("/api/v1/hosts", dict)["hosts"]
        return found
    finally:
        home.close()


def answers(file: Path) -> bool:
    """Whether home has come up: with what it had before."""
    try:
        return hosts_of(file) == []
    except HomeError:
        return False


def saved(host: Host) -> set[str]:
    """The jobs that were read back."""
    said = host.run("hostward backup status --json", check=False)
    jobs = json.loads(said.stdout)["jobs"] if said.stdout else []
    return {job["name"] for job in jobs if job["last_verified"] is not None}


def fingerprint(host: Host) -> str:
    """All that an upgrade may touch."""
    return host.run(
        "ls /opt/hostward; readlink /opt/hostward/current; cd /etc; find hostward systemd/system -name 'hostward*' "
        "-o -path 'hostward/*' | sort | while read -r f; do stat -c '%n %a %U' $f; cat $f 2>/dev/null; done; "
        'sha256sum /var/lib/hostward-collector/*.pem; systemctl is-active hostward-collector; python3 -c "import '
        "sqlite3; print(sqlite3.connect('file:/var/lib/private/hostward-collector/collector.db?mode=ro', uri=True)"
        ".execute('SELECT version_num FROM alembic_version').fetchall())\""
    ).stdout
