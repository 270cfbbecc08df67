"""`hostward-collector init --database` and `database`, as a person or a script runs them, on a real PostgreSQL."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import MetaData, select

from collector.store.database import connect, open_database
from collector.store.place import CHOICE, SQLITE, place_of
from collector.store.postgresql import Server
from collector.store.tables import metadata
from tests.collector import support
from tests.collector.cli.test_commands import collector, refused
from tests.collector.servers import PASSWORD, Servers
from tests.collector.support import COMMAND, Host, run


@pytest.fixture
def empty(servers: Servers) -> Iterator[Server]:
    """A database without tables."""
    place = servers.new(empty=True)
    yield place
    servers.drop(place)


@pytest.fixture
def password_file(tmp_path: Path) -> str:
    """For nobody else to read."""
    file = tmp_path / "password"
    file.touch(0o600)
    file.write_text(PASSWORD + "\n")
    return str(file)


@pytest.fixture
def lived(data_folder: Path) -> Path:
    """A home in SQLite that has seen something: hosts, reports, history."""
    with support.home(data_folder) as home:
        for number in range(3):
            host = Host(home.client, home.clock)
            assert host.enroll(home.token(), f"web{number}").status_code == 200
            for _ in range(3):
                assert host.send().status_code == 200
    return data_folder


def everything(place: Path | Server) -> dict[str, list[tuple[object, ...]]]:
    """Every row but those of the audit log, which says where it was copied from."""
    with closing(open_database(place)) as database, database.read() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
            if table.name != "audit"
        }


def test_home_lives_in_postgresql_from_init_on(tmp_path: Path, empty: Server, password_file: str) -> None:
    """Served, reported to, asked; the second home of a database is refused, and `init` once more."""
    folder = tmp_path / "home"
    options = "--database", empty.url, "--database-password-file", password_file
    said = collector(folder, "init", *options)
    assert "login: admin " in said
    assert PASSWORD not in said
    assert not (folder / SQLITE).exists()
    assert place_of(folder) == empty
    assert "is set up already" in refused(folder, "init")[1]
    assert "another collector's" in refused(tmp_path / "other", "init", *options)[1]
    with support.serving(folder) as home, home.client() as client:
        host = Host(client, time.time)
        assert host.enroll(home.made("token", "create")).status_code == 200
        assert host.send().status_code == 200
        shown = json.loads(home.made("database", "show", "--json"))
        assert (shown["kind"], shown["hosts"], shown["place"]) == ("PostgreSQL", 1, empty.url)
        assert shown["size"] > 0
        # Another machine with the same database and a copy of the folder.
        copy = shutil.copytree(folder, tmp_path / "copy")
        again = run("serve", "--data-dir", str(copy), "--port", "0")
        assert (again.returncode, "served by one" in again.stderr) == (1, True), again.stderr
        for process in ("cmdline", "environ"):
            assert PASSWORD.encode() not in Path(f"/proc/{home.process.pid}/{process}").read_bytes()
    assert "web1" in collector(folder, "host", "list")


def test_a_home_whose_server_is_away_says_so_and_goes_on_when_it_is_back(
    tmp_path: Path, servers: Servers, empty: Server, password_file: str
) -> None:
    """Hosts keep what they have; nobody sees a traceback; a home that was replaced meanwhile ends."""
    folder = tmp_path / "home"
    collector(folder, "init", "--database", empty.url, "--database-password-file", password_file)
    name = empty.url.rpartition("/")[2]
    with support.serving(folder) as home, home.client() as client:
        host = Host(client, time.time)
        assert host.enroll(home.made("token", "create")).status_code == 200
        bearer = {"Authorization": f"Bearer {home.made('api-token', 'create')}"}
        servers.server.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        servers.server.sql(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'")
        late = host.report()
        for answer in (host.send(late), client.get("/api/v1/hosts", headers=bearer)):
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy"), answer.text
            assert answer.json()["error"]["permanent"] is False
            assert int(answer.headers["retry-after"]) > 0
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
        page = client.post(
            "/login", data={"name": "admin", "password": "x"}, headers={"Sec-Fetch-Site": "same-origin"}
        )
        assert (page.status_code, "text/html" in page.headers["content-type"]) == (503, True)
        assert "not currently accepting connections" in refused(folder, "host", "list")[1]
        servers.server.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        answer = host.send(late)
        assert (answer.status_code, answer.json()["duplicate"]) == (200, False)
        assert client.get("/api/v1/hosts", headers=bearer).status_code == 200


def test_a_database_that_cannot_be_entered_leaves_no_home_behind(
    tmp_path: Path, empty: Server, password_file: str
) -> None:
    """So that the next `init` may name another."""
    folder = tmp_path / "home"
    Path(password_file).write_text("wrong")
    options = "--database", empty.url, "--database-password-file", password_file
    assert "password authentication failed" in refused(folder, "init", *options)[1]
    assert not folder.exists()
    Path(password_file).write_text(PASSWORD)
    Path(password_file).chmod(0o644)
    assert "others have rights" in refused(folder, "init", *options)[1]
    Path(password_file).chmod(0o600)
    collector(folder, "init", *options)
    assert place_of(folder) == empty


def test_home_moves_to_postgresql_and_back_with_all_that_it_knows(
    lived: Path, empty: Server, password_file: str, tmp_path: Path
) -> None:
    """Row for row; and what comes afterwards goes on counting."""
    before = everything(lived / SQLITE)
    options = "--database", empty.url, "--database-password-file", password_file
    with support.serving(lived):
        assert "another hostward-collector is using" in refused(lived, "database", "move", *options)[1]
    collector(lived, "database", "move", *options)
    assert everything(empty) == before
    assert place_of(lived) == empty
    assert "there already" in refused(lived, "database", "move", *options)[1]
    with support.home(lived, place=empty) as home:
        late = Host(home.client, home.clock)
        assert late.enroll(home.token(), "late").status_code == 200
        assert late.send().status_code == 200
    changed = everything(empty)
    assert "move it away first" in refused(lived, "database", "move")[1]
    (lived / SQLITE).rename(tmp_path / "old.db")
    collector(lived, "database", "move")
    assert everything(lived / SQLITE) == changed
    assert not (lived / CHOICE).exists()
    assert "late" in collector(lived, "host", "list")
    assert "each follows from the one before it" in collector(lived, "audit", "verify")


def test_a_copy_in_a_file_and_back(lived: Path, empty: Server, password_file: str, tmp_path: Path) -> None:
    """What was done since is undone; a database that is in use is not replaced by accident."""
    options = "--database", empty.url, "--database-password-file", password_file
    collector(lived, "database", "move", *options)
    before, copy = everything(empty), tmp_path / "copy.db"
    collector(lived, "database", "save", str(copy))
    assert copy.stat().st_mode & 0o777 == 0o600
    assert everything(copy) == before
    assert "is there already" in refused(lived, "database", "save", str(copy))[1]
    streamed = subprocess.run(
        [*COMMAND, "database", "save", "-", "--data-dir", str(lived)], capture_output=True, check=True
    )
    (tmp_path / "streamed.db").write_bytes(streamed.stdout)
    assert everything(tmp_path / "streamed.db") == before
    collector(lived, "host", "revoke", "web1")
    missing = refused(lived, "database", "load", str(tmp_path / "copy.bd"))[1]
    assert "copy.bd is not there; expected a file that `database save` wrote" in missing
    assert "--replace" in refused(lived, "database", "load", str(copy))[1]
    collector(lived, "database", "load", "--replace", str(copy))
    assert everything(empty) == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    # Also over tables of a version that this one does not know.
    with closing(open_database(empty)) as database, database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE later (host text REFERENCES hosts (id))")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    collector(lived, "database", "load", "--replace", str(copy))
    assert everything(empty) == before
    # An empty one needs no --replace, as where home is set up anew from a copy.
    with closing(connect(empty)) as database, database.write() as connection:
        there = MetaData()
        there.reflect(connection)
        there.drop_all(connection)
    collector(lived, "database", "load", str(copy))
    assert everything(empty) == before


def test_a_file_of_sqlite_is_put_back_by_hand(lived: Path, tmp_path: Path) -> None:
    """And a file that is none is refused."""
    collector(lived, "database", "save", str(tmp_path / "copy.db"))
    assert "put the copy in its place" in refused(lived, "database", "load", str(tmp_path / "copy.db"))[1]
    assert everything(tmp_path / "copy.db") == everything(lived / SQLITE)
    shown = json.loads(collector(lived, "database", "show", "--json"))
    assert (shown["kind"], shown["hosts"]) == ("SQLite", 3)
    assert refused(lived, "init", "--database-password-file", "x") == (
        2,
        "hostward-collector: --database-password-file is for --database\n",
    )


def test_a_database_that_cannot_hold_every_text_is_refused(
    servers: Servers, password_file: str, tmp_path: Path
) -> None:
    """What is in such a one has no encoding at all, and comes back as bytes."""
    servers.server.sql("CREATE DATABASE ascii TEMPLATE template0 ENCODING SQL_ASCII LC_COLLATE 'C' LC_CTYPE 'C'")
    url = f"postgresql://hostward@127.0.0.1:{servers.server.port}/ascii"
    words = "init", "--database", url, "--database-password-file", password_file
    _, said = refused(tmp_path / "data", *words)
    assert "the database ascii has the encoding SQL_ASCII; expected UTF8: createdb --encoding=UTF8" in said
