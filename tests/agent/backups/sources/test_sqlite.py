"""Databases of SQLite, copied while they are written to."""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import _ntuple_diskusage  # type: ignore[attr-defined]
from subprocess import PIPE, Popen

import pytest

from agent.backups.scratch import registry as servers
from agent.backups.sources import sqlite
from agent.config.backup_sources.sqlite import SqliteSource
from kit.errors import HostwardError
from tests.agent.backups.sources.saver import Saver

# Another process: SQLite tells writes by others from its own.
WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
number = 0
while True:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE accounts SET money = money - 7 WHERE id = ?", (number % 100,))
    connection.execute("UPDATE accounts SET money = money + 7 WHERE id = ?", (number * 31 % 100,))
    connection.execute("UPDATE filler SET data = randomblob(1000) WHERE id = ?", (number % 2500,))
    connection.execute("COMMIT")
    time.sleep(0.005)
    number += 1
    if number == 5:
        print("begun", flush=True)
"""


def make(file: Path, mode: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY, money INT)")
        connection.executemany("INSERT INTO accounts VALUES (?, 1000)", [(number,) for number in range(100)])
        connection.execute("CREATE TABLE filler (id INTEGER PRIMARY KEY, data BLOB)")
        connection.executemany("INSERT INTO filler VALUES (?, randomblob(1000))", [(n,) for n in range(2500)])
        connection.execute("CREATE TABLE fixed AS SELECT id, hex(data) FROM filler")
        connection.execute("COMMIT")


@contextmanager
def written_to(file: Path) -> Iterator[None]:
    writer = Popen([sys.executable, "-c", WRITER, file], stdout=PIPE)
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline() == b"begun\n"
        yield
        assert writer.poll() is None, "the writer was held up, or failed"
    finally:
        writer.kill()
        writer.communicate()


def rows(file: Path, statement: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return [tuple(map(str, row)) for row in connection.execute(statement)]


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_database_comes_back_as_of_one_moment(saver: Saver, tmp_path: Path, mode: str) -> None:
    """Though another process writes to it all the time, and its mode with it; all else is unchanged."""
    file = tmp_path / "shop.db"
    make(file, mode)
    file.chmod(0o640)
    with written_to(file):
        outcome = saver.save("sqlite", SqliteSource(paths=(str(file),)))
    (path,) = saver.files(outcome)
    assert path == f"/sqlite{file}" and outcome.snapshot.paths == ("/sqlite",)
    node = saver.ground.files(outcome)[path.encode()]
    assert node.permissions == 0o640 and node.uid == os.getuid()
    with saver.restored("sqlite", outcome) as fresh:
        assert fresh.databases() == [path]
        assert fresh.query("SELECT sum(money) FROM accounts") == [("100000",)]
        assert fresh.query("SELECT * FROM fixed ORDER BY 1") == rows(file, "SELECT * FROM fixed ORDER BY 1")
        assert fresh.query("PRAGMA journal_mode") == [(mode.lower(),)]
        with pytest.raises(HostwardError, match="no such table"):
            fresh.query("SELECT * FROM gone")


def test_a_rollback_journal_lets_writers_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that begins anew too often is made in one step instead."""
    file = tmp_path / "shop.db"
    make(file, "DELETE")
    monkeypatch.setattr(sqlite, "_PAGES", 10)
    with written_to(file):
        sqlite._copy(str(file), tmp_path / "copy")
    assert rows(tmp_path / "copy", "SELECT sum(money) FROM accounts") == [("100000",)]
    assert rows(tmp_path / "copy", "PRAGMA integrity_check") == [("ok",)]


def test_what_nobody_has_open_is_left_as_it_is(saver: Saver, tmp_path: Path) -> None:
    """No file is made beside a database in WAL mode; what has not changed is stored once."""
    file = tmp_path / "quiet.db"
    make(file, "WAL")
    before = sorted(tmp_path.iterdir())
    first = saver.save("sqlite", SqliteSource(paths=(str(file),)))
    again = saver.save("sqlite", SqliteSource(paths=(str(file),)))
    assert sorted(tmp_path.iterdir()) == before
    saver.checked()
    assert first.summary.data_added > 3 << 20 and again.summary.data_added < 8192


def test_what_is_in_the_log_alone_is_saved(saver: Saver, tmp_path: Path) -> None:
    """Of a program that has it open, and of one that was killed."""
    file = tmp_path / "shop.db"
    make(file, "WAL")
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("INSERT INTO accounts VALUES (1000, 5)")
        outcome = saver.save("sqlite", SqliteSource(paths=(str(file),)))
        with saver.restored("sqlite", outcome) as fresh:
            assert fresh.query("SELECT money FROM accounts WHERE id = 1000") == [("5",)]
        copy = tmp_path / "copied"
        copy.mkdir()
        for suffix in ("", "-wal"):
            (copy / f"shop.db{suffix}").write_bytes(Path(f"{file}{suffix}").read_bytes())
    outcome = saver.save("sqlite", SqliteSource(paths=(str(copy / "shop.db"),)))
    with saver.restored("sqlite", outcome) as fresh:
        assert fresh.query("SELECT money FROM accounts WHERE id = 1000") == [("5",)]


def test_a_transaction_that_was_cut_off_is_told(saver: Saver, tmp_path: Path) -> None:
    """What half of it has written is not saved, and rolling it back is for a program that may write."""
    file, copy = tmp_path / "shop.db", tmp_path / "copied"
    make(file, "DELETE")
    copy.mkdir()
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 5")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE filler SET data = randomblob(1000)")
        for suffix in ("", "-journal"):
            (copy / f"shop.db{suffix}").write_bytes(Path(f"{file}{suffix}").read_bytes())
    with pytest.raises(HostwardError, match="a transaction in it was cut off"):
        saver.save("sqlite", SqliteSource(paths=(str(copy / "shop.db"),)))
    assert saver.count() == 0


def test_files_are_named_by_patterns(saver: Saver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fits nothing, is no database, or has no room fails the run; nothing is left behind."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    left = temporary / "hostward-temporary-killed"
    left.mkdir()
    (left / "copy").write_bytes(b"of a run that was killed")
    monkeypatch.setenv("TMPDIR", str(temporary))
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        with closing(sqlite3.connect(tmp_path / name / "x.db")) as connection:
            connection.execute("CREATE TABLE t (n)")
    outcome = saver.save("sqlite", SqliteSource(paths=(f"{tmp_path}/*/x.db",), exclude=(f"{tmp_path}/b/*",)))
    assert set(saver.files(outcome)) == {f"/sqlite{tmp_path}/{name}/x.db" for name in "ac"}
    (tmp_path / "no.db").write_bytes(b"this is no database at all" * 100)
    for paths, said in {
        (f"{tmp_path}/gone*",): "there is no file",
        (f"{tmp_path}/no.db",): "file is not a database",
    }.items():
        with pytest.raises(HostwardError, match=said):
            saver.save("sqlite", SqliteSource(paths=paths))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: _ntuple_diskusage(0, 0, 10))
    with pytest.raises(HostwardError, match="has room for 10"):
        saver.save("sqlite", SqliteSource(paths=(f"{tmp_path}/a/x.db",)))
    assert list(temporary.iterdir()) == [] and saver.count() == 1


def test_a_dump_that_is_damaged_is_told(tmp_path: Path) -> None:
    """By the scratch server, before anything is asked of it."""
    file = tmp_path / "shop.db"
    make(file, "DELETE")
    data = bytearray(file.read_bytes())
    data[40960:81920] = b"\xff" * 40960
    file.write_bytes(data)
    with (
        tempfile.TemporaryDirectory(prefix="hw-", dir="/tmp") as folder,
        servers.opened("sqlite", Path(folder), patience=5) as server,
        file.open("rb") as dump,
    ):
        with pytest.raises(HostwardError):
            server.load("/sqlite/shop.db", dump.fileno())
        assert server.databases() == []
