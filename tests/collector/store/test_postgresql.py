"""Home's database in a real PostgreSQL server: entered as it should be, written by one at a time, refused clearly."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from collector.store import leases
from collector.store.database import open_database
from collector.store.place import CHOICE, Place, choose, place_of
from collector.store.postgresql import Server, check_url, make_engine
from collector.store.tables import metadata
from kit.errors import HostwardError, UsageError
from tests.agent.checks.daemons import until
from tests.collector.servers import PASSWORD, Servers

ASKERS = 6


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(server: Server) -> None:
    """As they do in SQLite."""
    with closing(open_database(server)) as database, database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_what_was_acknowledged_is_on_the_disk_also_where_the_server_is_set_up_otherwise(
    servers: Servers, server: Server
) -> None:
    """And nobody waits for a lock for ever."""
    name = server.url.rpartition("/")[2]
    servers.server.sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    with closing(open_database(server)) as database, database.read() as connection:
        shown = {
            name: connection.execute(text(f"SHOW {name}")).scalar() for name in ("synchronous_commit", "lock_timeout")
        }
    assert shown == {"synchronous_commit": "on", "lock_timeout": "15s"}


def test_who_reads_sees_one_moment_and_changes_nothing(server: Server) -> None:
    """Whatever is committed meanwhile."""
    count = text("SELECT count(*) FROM leases")
    with closing(open_database(server)) as database:
        with database.read() as connection:
            before = connection.execute(count).scalar()
            with database.write() as other:
                leases.take(other, "reboot", "somebody", 1, now=0.0, duration=60.0)
            assert connection.execute(count).scalar() == before
        with database.read() as connection:
            assert connection.execute(count).scalar() == 1
        with pytest.raises(DatabaseError, match="read-only"), database.read() as connection:
            connection.execute(text("DELETE FROM leases"))


def test_of_many_who_ask_for_the_last_place_at_once_one_gets_it(db_place: Place) -> None:
    """Each with connections of its own, as from another process."""
    together = threading.Barrier(ASKERS)
    got: list[float | None] = []

    def ask(number: int) -> None:
        with closing(open_database(db_place)) as database:
            together.wait()
            with database.write() as connection:
                got.append(leases.take(connection, "reboot", f"host{number}", 1, now=100.0, duration=60.0))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(ASKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got, key=lambda until: until or 0) == [*[None] * (ASKERS - 1), 160.0]


def test_a_transaction_goes_on_with_a_new_connection_after_the_server_was_away(
    servers: Servers, server: Server
) -> None:
    """Connections that were lost while nobody used them are told from those that work."""
    with closing(open_database(server)) as database:
        with database.read() as connection:
            mine = connection.execute(text("SELECT pg_backend_pid()")).scalar()
        servers.server.sql(f"SELECT pg_terminate_backend({mine}, 10000)")
        with database.write() as connection:
            assert connection.execute(text("SELECT pg_backend_pid()")).scalar() != mine


def test_a_database_is_served_once(servers: Servers, server: Server) -> None:
    """By whoever was there first, for as long as that one's connection lasts."""
    with closing(open_database(server)) as one, closing(open_database(server)) as two:
        with one.serving():
            assert one.serves()
            with pytest.raises(HostwardError, match="served by one"), two.serving():
                pass
        with two.serving():
            assert not one.serves()
            # The server was away for a moment: who asks first has it again.
            servers.server.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            assert two.serves()
            servers.server.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            until(one.serves, "the lock is free")
            assert not two.serves()
        assert one.serves()


def test_a_database_that_is_something_elses_is_left_alone(servers: Servers) -> None:
    """Whoever named the wrong one loses nothing."""
    other = servers.new(empty=True)
    name = other.url.rpartition("/")[2]
    with servers.server.connect(name) as connection:
        connection.execute("CREATE TABLE orders (id int)")
    with pytest.raises(HostwardError, match="holds something else \\(the table orders\\)"):
        open_database(other, create=True)
    with pytest.raises(HostwardError, match="no collector's tables"):
        open_database(other)
    servers.drop(other)


@pytest.mark.parametrize(("version", "said"), [("9999", "newer Hostward"), ("0001", "serve` brings it up to date")])
def test_another_version_is_told(server: Server, version: str, said: str) -> None:
    """And nothing is changed."""
    with closing(open_database(server)) as database, database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
    with pytest.raises(HostwardError, match=said):
        open_database(server)


def test_what_is_wrong_is_said_in_a_line_without_the_password(servers: Servers, server: Server) -> None:
    """Of a server that is not there, a database, a role, a password."""
    port = servers.server.port
    for url, password, said in (
        (server.url, "wrong-secret", "password authentication failed"),
        (f"postgresql://nobody@127.0.0.1:{port}/home", PASSWORD, "password authentication failed"),
        (f"postgresql://hostward@127.0.0.1:{port}/nowhere", PASSWORD, 'database "nowhere" does not exist'),
        ("postgresql://hostward@127.0.0.1:1/home", PASSWORD, "refused"),
    ):
        with pytest.raises(HostwardError, match=said) as refused:
            open_database(Server(url, password))
        assert "\n" not in str(refused.value)
        assert "secret" not in str(refused.value) + repr(refused.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://hostward:secret@db/home", "seen by everybody"),
        ("postgresql://hostward@db/home?password=secret", "seen by everybody"),
        ("mysql://hostward@db/home", "expected postgresql://"),
        ("postgresql://hostward@db", "expected postgresql://"),
        ("postgresql://hostward@db:x/home", "expected postgresql://.*; a port is a number"),
        ("nonsense", "expected postgresql://"),
    ],
)
def test_an_address_that_is_none_is_refused(url: str, said: str) -> None:
    """Without a word of a password in it."""
    with pytest.raises(UsageError, match=said) as refused:
        check_url(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "verified"),
    [
        ("postgresql://hostward@db.example.org/home", True),
        ("postgresql://hostward@db.example.org/home?sslmode=require", False),
        ("postgresql://hostward@127.0.0.1/home", False),
        ("postgresql:///home?host=/run/postgresql", False),
    ],
)
def test_a_server_elsewhere_has_to_prove_who_it_is(url: str, verified: bool) -> None:
    """Unless the address says otherwise."""
    found = make_engine(Server(url)).url.query
    assert (found.get("sslmode") == "verify-full") is verified
    assert (found.get("sslrootcert") == "system") is verified


def test_the_choice_is_for_the_owner_alone_and_comes_back(tmp_path: Path) -> None:
    """With whatever a password holds."""
    assert place_of(tmp_path) == tmp_path / "collector.db"
    server = Server("postgresql://hostward@db/home", 'quote " back \\ ünï #')
    choose(tmp_path, server)
    assert place_of(tmp_path) == server
    assert (tmp_path / CHOICE).stat().st_mode & 0o777 == 0o600
    choose(tmp_path, tmp_path / "collector.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "url", "url = 1", 'url = "sqlite://x"', 'url = "postgresql://a@b/c"\nx = 1', "\xff\0"]
)
def test_a_choice_that_says_nothing_is_refused(tmp_path: Path, text: str) -> None:
    """With the file's name."""
    (tmp_path / CHOICE).write_text(text, encoding="latin-1")
    with pytest.raises(HostwardError, match=CHOICE):
        place_of(tmp_path)
