"""Databases of a real PostgreSQL server, saved while they are written to, and restored into a fresh one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from agent.backups.scratch.postgresql import in_place
from agent.backups.sources import postgresql
from agent.backups.sources.contract import Run
from agent.config.backup_sources.postgresql import PostgresqlSource
from kit.errors import HostwardError
from tests.agent.backups.sources.saver import Saver
from tests.agent.backups.sources.writers import writing
from tests.agent.checks.daemons import Postgres, postgres, until
from tests.peers import newest_restic
from tests.require import require_program

ODD = "b/l%i ng=1"
TOTAL = 100_000


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Three databases: one with some data, one with an odd name, and the one that every server has."""
    for program in ("pg_dump", "pg_dumpall", "pg_restore", "psql"):
        require_program(program)
    with postgres() as found:
        found.sql("CREATE ROLE clerk LOGIN PASSWORD 'cl:er\\k'")
        found.sql("GRANT pg_read_all_data TO clerk")
        for name in ("shop", ODD):
            found.sql(f'CREATE DATABASE "{name}" OWNER clerk')
        found.sql(
            "CREATE TABLE accounts AS SELECT n AS id, 1000 AS money FROM generate_series(1, 100) n;"
            "CREATE TABLE moves (id serial PRIMARY KEY, money int);"
            "CREATE TABLE goods (id int PRIMARY KEY, name text, price numeric(10,2), photo bytea, added timestamptz);"
            "INSERT INTO goods SELECT n, 'good ' || chr(8364) || n, n / 7.0, "
            "sha512(n::text::bytea) || sha512(('b' || n)::bytea), to_timestamp(n) FROM generate_series(1, 30000) n;"
            "CREATE VIEW dear AS SELECT * FROM goods WHERE price > 4000; ALTER TABLE goods OWNER TO clerk;",
            "shop",
        )
        found.sql("CREATE TABLE bills (id int, note text); INSERT INTO bills VALUES (1, 'tab\there'), (2, NULL)", ODD)
        yield found


def source(server: Postgres, **options: Any) -> PostgresqlSource:
    return PostgresqlSource(**({"host": str(server.folder), "port": server.port} | options))


def rows(server: Postgres, statement: str, database: str) -> list[tuple[str, ...]]:
    """As a scratch server gives them."""
    printed = subprocess.run(
        ["psql", "-XqAt", "-F", "\x1f", "-h", server.folder, "-p", str(server.port), "-U", "postgres", database],
        input=statement, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [tuple(line.split("\x1f")) for line in printed.stdout.splitlines()]


def test_databases_come_back_as_of_one_moment(server: Postgres, saver: Saver) -> None:
    """Dumps of databases that are written to hold what there was when the run began, in all of them; a fresh server
    has every row of it."""
    session = server.connect("shop", autocommit=False)

    def move(number: int) -> None:
        session.execute("UPDATE accounts SET money = money - 7 WHERE id = %s", (number % 100 + 1,))
        session.execute("INSERT INTO moves (money) VALUES (7)")
        session.execute("UPDATE accounts SET money = money + 7 WHERE id = %s", (number * 31 % 100 + 1,))
        session.commit()

    def change() -> None:
        server.sql("DELETE FROM bills", ODD)
        server.sql("INSERT INTO goods VALUES (0, 'too late')", "shop")

    goods = "SELECT * FROM goods ORDER BY id"
    before = rows(server, goods, "shop")
    with session, writing(move):
        outcome = saver.save("postgresql", source(server), change)
    assert {path.decode() for path in saver.ground.files(outcome)} == {
        "/postgresql", "/postgresql/globals.sql", "/postgresql/b%2Fl%25i ng=1.dump", "/postgresql/postgres.dump",
        "/postgresql/shop.dump",
    }  # fmt: skip
    assert outcome.snapshot.paths == ("/postgresql",)
    with saver.restored("postgresql", outcome) as fresh:
        assert sorted(fresh.databases()) == [ODD, "postgres", "shop"]
        assert fresh.query(goods, "shop") == before
        ((total, moved, ids),) = fresh.query(
            "SELECT (SELECT sum(money) FROM accounts), count(*), max(id) FROM moves", "shop"
        )
        assert int(total) == TOTAL and moved == ids and int(moved) >= 5
        assert fresh.query("SELECT * FROM bills ORDER BY id", ODD) == [("1", "tab\there"), ("2", "")]
        assert fresh.query("SELECT tableowner FROM pg_tables WHERE tablename = 'goods'", "shop") == [("clerk",)]
        with pytest.raises(HostwardError, match="no_such_table"):
            fresh.query("SELECT * FROM no_such_table", "shop")
    server.sql("INSERT INTO bills VALUES (1, 'tab\there'), (2, NULL)", ODD)
    server.sql("DELETE FROM goods WHERE id = 0", "shop")

    # Nothing of it is left in the server: no transaction that would hold up vacuum.
    held = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hostward' AND state <> 'idle'"
    assert server.sql(held) == [(0,)]


def test_what_has_not_changed_is_stored_once(server: Postgres, saver: Saver, tmp_path: Path) -> None:
    """A second dump adds next to nothing, and stock tools restore it."""
    first = saver.save("postgresql", source(server, databases=("shop",), globals=False))
    again = saver.save("postgresql", source(server, databases=("shop",), globals=False))
    assert first.summary.data_added > 4 << 20
    assert again.summary.data_added < first.summary.data_added / 2
    server.sql("UPDATE goods SET name = 'changed' WHERE id = 29000", "shop")
    changed = saver.save("postgresql", source(server, databases=("shop",), globals=False))
    assert changed.summary.data_added < first.summary.data_added
    saver.checked()
    dump = tmp_path / "dump"
    with dump.open("wb") as file:
        subprocess.run(
            [newest_restic(), "--no-cache", "-r", saver.ground.place, "dump", "latest", "/postgresql/shop.dump"],
            env={"RESTIC_PASSWORD": "password"}, stdout=file, check=True,
        )  # fmt: skip
    listed = subprocess.run(["pg_restore", "--list", dump], capture_output=True, text=True, check=True).stdout
    assert "Compression: none" in listed or "Compression: 0" in listed
    assert "TABLE DATA public goods clerk" in listed


def test_what_is_not_utf_8_is_saved(server: Postgres, saver: Saver) -> None:
    """Whoever may make databases can give one any name; and one without an encoding has any bytes in it."""
    server.sql("CREATE DATABASE plain ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    words = ["psql", "-Xq", "-h", server.folder, "-p", str(server.port), "-U", "postgres", "plain"]
    environment = {**os.environ, "PGCLIENTENCODING": "SQL_ASCII"}
    made = b"CREATE DATABASE \"caf\xe9\"; CREATE TABLE menu AS SELECT 'caf\xe9'::text AS name;"
    try:
        subprocess.run(words, input=made, env=environment, check=True)
        outcome = saver.save("postgresql", source(server, exclude=("shop", ODD), globals=False))
        assert {b"/postgresql/caf\xe9.dump", b"/postgresql/plain.dump"} < set(saver.ground.files(outcome))
        # pg_restore cannot make a database of such a name again, only fill another.
        outcome = saver.save("postgresql", source(server, databases=("plain",), globals=False))
        with saver.restored("postgresql", outcome) as fresh:
            assert fresh.query("SELECT encode(name::bytea, 'hex') FROM menu", "plain") == [("636166e9",)]
    finally:
        subprocess.run(words, input=b'DROP DATABASE IF EXISTS "caf\xe9"', env=environment, check=True)
        server.sql("DROP DATABASE plain")


def test_the_password_is_seen_by_nobody(server: Postgres, saver: Saver, tmp_path: Path) -> None:
    """It is neither among the words nor in the environment of what is started, nor on disk."""
    secret = "cl:er\\k"
    file = tmp_path / "password"
    file.write_text(secret + "\n")
    file.chmod(0o600)
    options = source(
        server, host="127.0.0.1", user="clerk", password_file=str(file), databases=("sh*",), role_passwords=False
    )
    seen: list[str] = []

    def look() -> None:
        for child in psutil.Process().children(recursive=True):
            seen.extend([*child.cmdline(), *child.environ().values()])

    outcome = saver.save("postgresql", options, look)
    assert "psql" in "".join(seen) and secret not in "".join(seen)
    assert set(saver.files(outcome)) == {"/postgresql/globals.sql", "/postgresql/shop.dump"}
    file.write_text("wrong\n")
    with pytest.raises(HostwardError, match="password authentication failed") as caught:
        saver.save("postgresql", options)
    assert "wrong" not in str(caught.value)


def test_what_fails_leaves_no_snapshot(server: Postgres, saver: Saver) -> None:
    """A database that is not there, one that is dropped, a table that goes while others are dumped, no server."""
    with pytest.raises(HostwardError, match="there is no database gone"):
        saver.save("postgresql", source(server, databases=("shop", "gone")))
    server.sql("CREATE TABLE brief (n int)", "shop")
    with pytest.raises(HostwardError, match=r"pg_dump failed .*brief.*no snapshot was made"):
        saver.save("postgresql", source(server), lambda: server.sql("DROP TABLE brief", "shop"))
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hostward'"
    with pytest.raises(HostwardError, match="no snapshot was made"):
        saver.save("postgresql", source(server), lambda: server.sql(kill))
    with pytest.raises(HostwardError, match="psql failed with exit code 2"):
        saver.save("postgresql", source(server, host="/nowhere"))
    assert saver.count() == 0


PROGRAM = """
import os, sys
from pathlib import Path
from agent.backups.sources import registry
from agent.backups.sources.contract import Run
from agent.config.backup_sources.postgresql import PostgresqlSource
options = PostgresqlSource(host=sys.argv[1], port=int(sys.argv[2]))
with registry.opened("postgresql", options, Run("job", Path("/"))):
    os.kill(os.getpid(), 9)
"""


def test_a_run_that_is_killed_leaves_no_session(server: Postgres) -> None:
    """Its transactions would keep vacuum from removing anything."""
    command = [sys.executable, "-c", PROGRAM, server.folder, str(server.port)]
    assert subprocess.run(command).returncode == -9
    held = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hostward'"
    until(lambda: server.sql(held) == [(0,)], "the end of the sessions")


def test_databases_can_be_dumped_one_by_one(server: Postgres, tmp_path: Path) -> None:
    """Then no session is held meanwhile."""
    options = source(server, together=False, exclude=("post*",), globals=False)
    with postgresql.opened(options, Run("job", tmp_path)) as contents:
        held = server.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hostward'")
        assert held == [(0,)] and len(contents.streams) == 2


def test_tablespaces_are_made_in_the_scratch_server() -> None:
    """Their real places are never touched."""
    script = b"CREATE TABLESPACE fast OWNER x LOCATION '/mnt/it''s';\nCREATE ROLE \"LOCATION\";\n"
    assert in_place(script).splitlines()[1:] == [
        b"CREATE TABLESPACE fast OWNER x LOCATION '';",
        b'CREATE ROLE "LOCATION";',
    ]
