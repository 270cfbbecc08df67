"""Opening home's database: made, brought up to date, or refused with a sentence."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, func, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

import collector.backups.keeping.tables
import collector.backups.tables
import collector.metrics.tables  # noqa: F401 - these add their tables to the metadata
from collector.store import schema
from collector.store.database import open_database
from collector.store.tables import REVISION, metadata, users
from kit.errors import HostwardError


def config() -> Config:
    """Where the migrations are."""
    found = Config()
    found.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    found.set_main_option("path_separator", "os")
    return found


def script() -> ScriptDirectory:
    """The migrations."""
    return ScriptDirectory.from_config(config())


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    """Whoever changes a table writes a migration."""
    database = open_database(tmp_path / "db", create=True)
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_the_newest_revision_is_the_one_that_the_code_names() -> None:
    """It is known without loading alembic, so it stands twice."""
    assert script().get_heads() == [REVISION]


def test_revisions_are_numbered_in_one_line() -> None:
    """Newer is told from older by the number."""
    revisions = [found.revision for found in script().walk_revisions()]
    assert revisions == sorted(revisions, reverse=True)
    assert all(len(revision) == 4 and revision.isdecimal() for revision in revisions)


def test_postgresql_takes_every_table_and_index() -> None:
    """Nothing in them is SQLite's alone."""
    for table in metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=postgresql.dialect()))
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=postgresql.dialect()))


def test_opening_is_durable_and_checks_references(tmp_path: Path) -> None:
    """What was committed survives a power cut, and no row belongs to nobody."""
    database = open_database(tmp_path / "db", create=True)
    with database.read() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database.close()


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """All or nothing."""
    database = open_database(tmp_path / "db", create=True)
    with pytest.raises(OperationalError), database.write() as connection:
        connection.execute(text("INSERT INTO users (name, password_hash, role, created) VALUES ('a', 'b', 'c', 1)"))
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(users)).scalar() == 0
    database.close()


def test_a_missing_database_is_not_made_by_accident(tmp_path: Path) -> None:
    """Only init makes one; the sentence says so."""
    with pytest.raises(HostwardError, match="hostward-collector init"):
        open_database(tmp_path / "db")
    assert list(tmp_path.iterdir()) == []


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Whoever goes back a version is told what to do."""
    open_database(tmp_path / "db", create=True).close()
    with sqlite3.connect(tmp_path / "db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(HostwardError, match="newer Hostward"):
        open_database(tmp_path / "db", upgrade=True)
    with sqlite3.connect(tmp_path / "db") as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    connection.close()


def test_an_older_database_waits_for_serve(tmp_path: Path) -> None:
    """Other commands do not change the schema under a running server."""
    migrations = config()
    engine = create_engine(f"sqlite:///{tmp_path / 'db'}")
    with engine.begin() as connection:
        migrations.attributes["connection"] = connection
        command.upgrade(migrations, script().get_bases()[0])
    engine.dispose()
    with pytest.raises(HostwardError, match="serve"):
        open_database(tmp_path / "db")
    open_database(tmp_path / "db", upgrade=True).close()
    open_database(tmp_path / "db").close()


def test_an_emptied_database_is_not_begun_anew(tmp_path: Path) -> None:
    """A collector that has lost its fleet says so; only init makes tables where there are none."""
    (tmp_path / "db").touch()
    with pytest.raises(HostwardError, match="was emptied"):
        open_database(tmp_path / "db", upgrade=True)
    assert (tmp_path / "db").read_bytes() == b""


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs in one transaction."""
    real = schema.migrate

    def broken(connection: Connection) -> None:
        real(connection)
        raise HostwardError("the disk is full")

    monkeypatch.setattr(schema, "migrate", broken)
    with pytest.raises(HostwardError, match="the disk is full"):
        open_database(tmp_path / "db", create=True)
    with sqlite3.connect(tmp_path / "db") as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()


def test_what_is_no_database_is_refused_with_a_sentence(tmp_path: Path) -> None:
    """A damaged file gives its name and what is wrong, and is kept as it is."""
    (tmp_path / "db").write_bytes(b"x" * 4096)
    with pytest.raises(HostwardError, match="cannot be used as a database"):
        open_database(tmp_path / "db", upgrade=True)
    assert (tmp_path / "db").read_bytes() == b"x" * 4096
