"""Drills of databases: dumps of real servers in servers that are thrown away."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest

from agent.backups.drill.run import Course, Order, run_drill
from agent.backups.scratch import registry
from agent.config.drills import Assertion, DrillOptions
from backup.archive.backup import run_backup
from backup.archive.plan import Plan
from backup.archive.streams import Stream
from backup.repository.repository import Repository
from kit.units import Size
from tests.backup.archive.ground import Ground
from tests.require import require


def save(ground: Ground, source: str, **dumps: bytes) -> None:
    """A snapshot as the job `shop` makes it."""
    repository = ground.open()
    streams = [
        Stream(f"/{source}/{name}", partial(lambda data: closing(BytesIO(data)), data))
        for name, data in dumps.items()
    ]
    with repository.lock():
        run_backup(repository, Plan(workers=1, tags=("job:shop",)), streams=streams, names=(f"/{source}",))
    repository.store.close()


def drill(ground: Ground, source: str, place: Path, sql: str, **assertion: str) -> Course:
    """A drill of it; nothing is left of it."""
    options = DrillOptions(
        backup="shop",
        kind="database",
        weekly="sunday 04:00",
        scratch=str(place),
        space=Size(2**30),
        assertion=Assertion(sql=sql, **assertion),
    )

    @contextmanager
    def opened() -> Iterator[Repository]:
        repository = ground.open()
        with repository.lock():
            yield repository
        repository.store.close()

    order = Order(options, source, socket.gethostname(), "0" * 16, began=2e9)
    course, end = run_drill(order, lambda: None, opened, lambda *_: None)
    assert end is None
    assert list(place.iterdir()) == []
    return course


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path / "repository")


def database(file: Path, rows: int) -> bytes:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("create table orders (id integer primary key, what text)")
        connection.executemany("insert into orders (what) values (?)", [("tea " * 100,)] * rows)
        connection.commit()
    return file.read_bytes()


def test_a_query_says_whether_the_database_came_back(ground: Ground, tmp_path: Path, place: Path) -> None:
    """The one that is named, where there are several."""
    save(
        ground,
        "sqlite",
        **{"srv/shop.db": database(tmp_path / "shop.db", 5000), "srv/z.db": database(tmp_path / "z.db", 1)},
    )
    course = drill(ground, "sqlite", place, "select count(*) from orders", database="/srv/shop.db", expect="5000")
    assert (course.problem, course.wrong) == ("", "")
    assert course.restored is not None
    assert (course.restored.files, course.restored.estimated) == (2, False)
    assert course.restored.bytes == course.restored.total_bytes > 2_000_000
    assert course.restored.seconds > 0
    course = drill(ground, "sqlite", place, "select count(*) > 1 from orders", database="/srv/z.db")
    assert course.wrong == 'the query answered "0"'


def test_a_dump_that_is_damaged_fails_the_drill(ground: Ground, tmp_path: Path, place: Path) -> None:
    """Before anybody is asked; and so does a snapshot without one."""
    good = database(tmp_path / "shop.db", 500)
    save(ground, "sqlite", **{"srv/shop.db": good[:4096] + os.urandom(len(good) - 4096)})
    course = drill(ground, "sqlite", place, "select 1")
    assert "damaged" in course.problem
    assert course.restored is None
    assert "holds no dump in /redis" in drill(ground, "redis", place, "PING").problem


def test_a_pack_that_is_damaged_is_told_as_such(ground: Ground, tmp_path: Path, place: Path) -> None:
    """And not as what the server makes of half a dump."""
    save(ground, "sqlite", **{"srv/shop.db": database(tmp_path / "shop.db", 3000)})
    largest = max((ground.place / "data").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    largest.chmod(0o600)
    content = bytearray(largest.read_bytes())
    content[100] ^= 1
    largest.write_bytes(content)
    assert "in pack" in drill(ground, "sqlite", place, "select 1").problem


def test_a_dump_of_postgresql_comes_back_in_a_server_of_its_own(ground: Ground, place: Path) -> None:
    """With its roles; as root in a server of another user, whose folder nobody else sees into."""
    require(bool(shutil.which("pg_dump")), "PostgreSQL")
    (place / "server").mkdir()
    with registry.opened("postgresql", place / "server", patience=60) as server:
        server.query("create role clerk")
        server.query("create database shop")
        server.query("create table orders as select generate_series(1, 1000) as id", "shop")
        server.query("alter table orders owner to clerk", "shop")
        dump = server.run(["pg_dump", "--format=custom", "--compress=0"], database="shop")  # type: ignore[attr-defined]
        roles = server.run(["pg_dumpall", "--globals-only"])  # type: ignore[attr-defined]
    (place / "server").rmdir()
    save(ground, "postgresql", **{"shop.dump": dump, "globals.sql": roles})
    course = drill(
        ground,
        "postgresql",
        place,
        "select count(*), max(tableowner) from orders, pg_tables where tablename = 'orders'",
        database="shop",
        expect="1000",
    )
    assert (course.problem, course.wrong) == ("", "")
    assert course.restored is not None
    assert course.restored.files == 2
