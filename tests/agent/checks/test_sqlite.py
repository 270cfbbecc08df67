"""SQLite: real databases, healthy, in use, locked, damaged, and nothing that the check leaves behind."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.contract import CheckError, Sample
from agent.checks.sqlite import Memory, Sqlite, SqliteOptions, Verified, is_due, is_wal
from kit.units import Duration
from tests.agent.checks.tree import NOW, collect, said, values
from tests.require import require_root


def check(file: Path, **settings: Any) -> Sqlite:
    return Sqlite(SqliteOptions(**({"path": str(file), "timeout": Duration(20)} | settings)))


def fill(file: Path, *pragmas: str, rows: int = 2000) -> None:
    """A database with a table and an index, closed by who made it."""
    with closing(sqlite3.connect(file)) as connection:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, text TEXT)")
        connection.execute("CREATE INDEX by_text ON items (text)")
        connection.executemany("INSERT INTO items (text) VALUES (?)", ((f"{n:050}",) for n in range(rows)))
        connection.commit()


@contextmanager
def program(file: Path, body: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the database open: `db`, after `body`, until it is told to end."""
    script = (
        f"import os, sqlite3, sys\ndb = sqlite3.connect({str(file)!r}, isolation_level=None)\n{body}\n"
        "print('ready', flush=True)\nsys.stdin.readline()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Everything in a folder, with what changes when it is written to."""
    return {
        entry.name: (entry.stat().st_ino, entry.stat().st_size, entry.stat().st_mtime_ns)
        for entry in folder.iterdir()
    }


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_healthy_database_is_whole_and_left_as_it_is(tmp_path: Path, mode: str) -> None:
    """Whichever way it keeps its journal: not even a moment's file is made beside it."""
    file = tmp_path / "app data#1?.db"
    fill(file, f"journal_mode={mode}")
    before = listing(tmp_path)
    sample = collect(check(file, integrity="full"))
    assert said(sample) == []
    measured = values(sample)
    assert measured["sqlite_up"] == 1
    assert measured["sqlite_integrity_ok"] == 1
    assert measured["sqlite_size_bytes"] == file.stat().st_size
    assert measured["sqlite_wal_size_bytes"] == 0
    assert sample.summary.startswith("WAL mode" if mode == "wal" else "rollback mode")
    assert listing(tmp_path) == before


def test_a_database_in_use_is_read_with_what_its_log_holds(tmp_path: Path) -> None:
    """Pages that are only in the -wal count, and the file, the -wal and the -shm stay as they are."""
    file = tmp_path / "app.db"
    fill(file, "journal_mode=wal", rows=10)
    with program(file, "db.execute('PRAGMA wal_autocheckpoint=0')\ndb.execute('DELETE FROM items')"):
        before = listing(tmp_path)
        assert set(before) == {"app.db", "app.db-wal", "app.db-shm"}
        sample = collect(check(file))
        assert said(sample) == []
        assert values(sample)["sqlite_wal_size_bytes"] == (tmp_path / "app.db-wal").stat().st_size > 0
        after = listing(tmp_path)
        assert {name: after[name][:2] for name in after} == {name: before[name][:2] for name in before}


def test_what_a_killed_program_left_is_read_all_the_same(tmp_path: Path) -> None:
    """A -wal and a -shm that nobody has open."""
    file = tmp_path / "app.db"
    fill(file, "journal_mode=wal", rows=10)
    with program(file, "db.execute('PRAGMA wal_autocheckpoint=0')\ndb.execute('DELETE FROM items')") as process:
        process.kill()
        process.wait()
    before = listing(tmp_path)
    assert "app.db-wal" in before
    assert said(collect(check(file))) == []
    assert listing(tmp_path) == before


def test_a_log_without_its_index_is_not_given_one(tmp_path: Path) -> None:
    """As in a copy: to make the -shm is for the program that the database belongs to."""
    file = tmp_path / "app.db"
    fill(file, "journal_mode=wal", rows=10)
    with program(file, "db.execute('PRAGMA wal_autocheckpoint=0')\ndb.execute('DELETE FROM items')") as process:
        process.kill()
        process.wait()
    (tmp_path / "app.db-shm").unlink()
    before = listing(tmp_path)
    with pytest.raises(CheckError, match="a write-ahead log that no program has open"):
        collect(check(file))
    assert listing(tmp_path) == before


def test_another_user_reads_without_leaving_files(tmp_path: Path) -> None:
    """Root could write to the folder: the application would find a -shm that it may not open."""
    require_root()
    folder = tmp_path / "application"
    folder.mkdir(mode=0o750)
    file = folder / "app.db"
    fill(file, "journal_mode=wal")
    for path in (folder, file):
        os.chown(path, 65534, 65534)
    assert said(collect(check(file))) == []
    assert [entry.name for entry in folder.iterdir()] == ["app.db"]


def test_a_locked_database_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    """A program that holds the lock for good is a warning, and the sizes are there."""
    file = tmp_path / "app.db"
    fill(file)
    with program(file, "db.execute('BEGIN EXCLUSIVE')"):
        sample = collect(check(file, timeout=Duration(2)))
    assert said(sample) == [("warning", f"{file} is locked by another program for more than 1s")]
    assert values(sample)["sqlite_size_bytes"] > 0
    assert "sqlite_integrity_ok" not in values(sample)
    assert said(collect(check(file))) == []


def test_a_transaction_that_was_cut_off_is_left_to_its_program(tmp_path: Path) -> None:
    """A hot journal is not rolled back by who only looks."""
    file = tmp_path / "app.db"
    fill(file)
    body = "db.execute('PRAGMA cache_size=1')\ndb.execute('BEGIN')\ndb.execute(\"UPDATE items SET text = 'x' || id\")"
    with program(file, body) as process:
        process.kill()
        process.wait()
    before = listing(tmp_path)
    assert "app.db-journal" in before
    with pytest.raises(CheckError, match="a transaction was cut off"):
        collect(check(file))
    assert listing(tmp_path) == before


def damage(file: Path) -> None:
    """Overwrite pages in the middle."""
    with open(file, "r+b") as stream:
        stream.seek(file.stat().st_size // 2)
        stream.write(os.urandom(8192))


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_damaged_database_is_critical_until_it_is_mended(tmp_path: Path, mode: str) -> None:
    """Also in between, when the file is not verified again; what was ever whole says how long ago."""
    file = tmp_path / "app.db"
    fill(file, f"journal_mode={mode}")
    whole = collect(check(file))
    copy = file.read_bytes()
    damage(file)
    not_yet = collect(check(file), after=whole)
    assert values(not_yet)["sqlite_integrity_ok"] == 1
    bad = collect(check(file, integrity_every=Duration(1), integrity="full"), after=not_yet)
    assert values(bad)["sqlite_integrity_ok"] == 0
    assert {state for state, _ in said(bad)} == {"critical"}
    assert all(message.startswith(f"{file} is damaged: ") for _, message in said(bad))
    assert len(said(bad)) <= 3
    later = collect(check(file, integrity="full"), after=bad)
    assert said(later) == said(bad)
    file.write_bytes(copy)
    mended = collect(check(file), after=later)
    assert said(mended) == []
    assert values(mended)["sqlite_integrity_ok"] == 1


@pytest.mark.parametrize(
    "content", [b"this is no database, but a text " * 100, b"SQLite format 3\x00" + b"\xff" * 5000]
)
def test_a_file_that_is_no_database_is_critical(tmp_path: Path, content: bytes) -> None:
    """In one sentence."""
    file = tmp_path / "app.db"
    file.write_bytes(content)
    ((state, message),) = said(collect(check(file)))
    assert state == "critical"
    assert message.startswith(f"{file} is damaged: ")


def test_an_empty_file_is_an_empty_database(tmp_path: Path) -> None:
    """Nothing was ever written to it."""
    file = tmp_path / "app.db"
    file.touch()
    assert said(collect(check(file))) == []


def test_a_file_that_is_not_there_is_critical(tmp_path: Path) -> None:
    """And is not made."""
    file = tmp_path / "app.db"
    sample = collect(check(file))
    assert values(sample) == {"sqlite_up": 0}
    assert said(sample) == [("critical", f"there is no {file}")]
    assert list(tmp_path.iterdir()) == []


def test_a_verification_that_takes_too_long_is_not_tried_again_at_once(tmp_path: Path) -> None:
    """It is unknown, with what to do, until its time comes."""
    file = tmp_path / "app.db"
    fill(file, rows=60_000)
    slow = check(file, timeout=Duration(0.001))
    sample = collect(slow)
    assert said(sample) == [
        ("unknown", f"{file} could not be verified: quick_check takes longer than 0ms; raise `timeout`")
    ]
    assert values(sample)["sqlite_up"] == 1
    again = collect(check(file), after=sample)
    assert said(again) == said(sample)


def test_a_database_that_comes_into_use_meanwhile_is_judged_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read as if nobody wrote is dropped when somebody did."""
    from agent.checks import sqlite_session

    file = tmp_path / "app.db"
    fill(file, "journal_mode=wal")
    verify = sqlite_session._verify

    def written(*arguments: Any, **named: Any) -> Memory:
        memory = verify(*arguments, **named)
        damage(file)
        return memory

    monkeypatch.setattr(sqlite_session, "_verify", written)
    sample = collect(check(file))
    assert said(sample) == []
    assert "sqlite_integrity_ok" not in values(sample)
    assert sample.summary == "in use since a moment ago: the next run looks at it again"


def test_verifying_can_be_turned_off(tmp_path: Path) -> None:
    """And then nothing is said of it."""
    file = tmp_path / "app.db"
    fill(file)
    damage(file)
    sample = collect(check(file, integrity="off"))
    assert "sqlite_integrity_ok" not in values(sample)


def whole(root: Path) -> Sample:
    """A sample with every reading that there is."""
    fill(root / "app.db")
    return collect(check(root / "app.db"))


@given(st.binary(max_size=200))
def test_any_header_can_be_read(header: bytes) -> None:
    """It is that of a database in one mode or the other, or of none."""
    expected = None if len(header) < 100 or header[:16] != b"SQLite format 3\x00" else 2 in header[18:20]
    assert is_wal(header) == (expected if header else False)


@given(st.floats(0, 1e9), st.floats(1, 1e6), st.floats(-1e6, 1e6), st.sampled_from(["quick", "full"]))
def test_a_verification_is_due_when_its_time_is_over(then: float, every: float, passed: float, kind: str) -> None:
    """At once where it is to be another kind, or where the last one is from the future."""
    options = SqliteOptions(path="/x", integrity_every=Duration(every))
    before = Memory(attempt=Verified(then, kind, []))
    expected = kind != "quick" or not 0 <= (then + passed) - then < every
    assert is_due(options, before, then + passed) == expected
    assert is_due(options, Memory(), NOW)
