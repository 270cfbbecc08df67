"""A real PostgreSQL server that is written to, archived, and restored to moments of its life."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.backups.wal.spool import waiting
from tests.agent.backups.wal.servers import Archive, archive, is_recovered, remove, rows, started
from tests.agent.checks.daemons import Postgres, until
from tests.agent.cli.backup.repos import Place
from tests.agent.cli.backup.repos import call as called
from tests.agent.daemon.daemons import HOSTWARD
from tests.peers import newest_restic

NOTES = "SELECT note FROM notes ORDER BY id"
SPACE = "SELECT sum(hashtext(t::text)), count(*) FROM far t"
LOAD = "SELECT count(*), min(n), max(n) FROM load"


@dataclass
class Story:
    """What was done with the server, and when."""

    archive: Archive
    moments: dict[str, str] = field(default_factory=dict)
    xids: dict[str, int] = field(default_factory=dict)
    loads: dict[str, int] = field(default_factory=dict)
    """How many rows of the load were committed then, at least."""

    def note(self, text: str) -> None:
        """Commit a row, and remember when, and by which transaction."""
        server = self.archive.server
        (xid,) = server.sql(
            f"INSERT INTO notes (note) VALUES ('{text}') RETURNING pg_current_xact_id()::text::bigint"
        )[0]
        self.xids[text] = xid
        self.loads[text] = server.sql("SELECT count(*) FROM load")[0][0]
        self.moments[text] = self.archive.now()


@contextmanager
def writing(server: Postgres) -> Iterator[None]:
    """Rows that are committed one after the other, all the time, without a number that is left out."""
    end = threading.Event()

    def write() -> None:
        with server.connect() as session:
            (first,) = session.execute("SELECT count(*) FROM load").fetchone()
            for n in range(first, first + 100_000):
                if end.is_set():
                    return
                session.execute("INSERT INTO load VALUES (%s, repeat('x', 200))", (n,))
                end.wait(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        end.set()
        writer.join()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A base backup under load, and notes after it: one, two, a restore point, three, four."""
    with archive(tmp_path_factory.mktemp("own")) as found:
        server, told = found.server, Story(found)
        space = found.top / "space"
        space.mkdir()
        shutil.chown(space, server.data.owner(), server.data.group())
        server.sql(f"CREATE TABLESPACE space LOCATION '{space}'")
        server.sql("CREATE TABLE far TABLESPACE space AS SELECT n, md5(n::text) FROM generate_series(1, 2000) n")
        server.sql("CREATE TABLE notes (id serial, note text)")
        server.sql("CREATE TABLE load (n int, filling text)")
        with writing(server):
            until(lambda: server.sql("SELECT count(*) FROM load")[0][0] > 20, "load")
            found.run("base")
            told.note("one")
            told.note("two")
            server.sql("SELECT pg_create_restore_point('before three')")
            found.archived()
            found.run("wal")
            told.note("three")
        told.note("four")
        # Up to when there is WAL is known by the second; "four" is to be in one that is over.
        time.sleep(1.0 - time.time() % 1.0)
        # One transaction, in which there is no time to be seen for segments.
        server.sql("CREATE TABLE bulk AS SELECT n, md5(n::text) FROM generate_series(1, 60000) n")
        found.archived()
        found.run("wal")
        yield told


def test_it_stops_at_a_time(story: Story) -> None:
    """What was committed before is there, row for row, also of the load and in the tablespace; nothing later is."""
    place = story.archive
    target = place.restore(
        "time", "--to", story.moments["one"], "--tablespace-mapping", f"{place.top}/space={place.top}/space-time"
    )
    with started(target) as copy:
        assert rows(copy, NOTES) == [("one",)]
        assert copy.sql(SPACE) == place.server.sql(SPACE)
        ((count, first, last),) = copy.sql(LOAD)
        assert (first, last) == (0, count - 1), "rows that were committed before others are missing"
        assert story.loads["one"] <= count <= story.loads["two"]
        assert copy.sql("SHOW archive_mode") == [("off",)], "a copy must not write into the archive of its origin"
        copy.sql("SELECT pg_wal_replay_resume()")
        until(lambda: copy.sql("SELECT NOT pg_is_in_recovery()")[0][0], "the end of recovery")
        copy.sql("INSERT INTO notes (note) VALUES ('later')")
    remove(target, place.top / "time.wal", place.top / "space-time")


@pytest.mark.parametrize(
    ("words", "notes"),
    [
        (["--xid", "{two}", "--exclusive"], ["one"]),
        (["--name", "before three"], ["one", "two"]),
        (["--to", "{moment}"], ["one", "two", "three", "four"]),
        ([], ["one", "two", "three", "four"]),
    ],
    ids=["before-xid", "name", "before-bulk", "end"],
)
def test_it_stops_at_the_right_transaction(story: Story, words: list[str], notes: list[str]) -> None:
    """Just before a transaction, at a restore point, at a time before many segments without a commit, at the end."""
    place = story.archive
    mapping = f"{place.top}/space={place.top}/space-there"
    named = {**story.xids, "moment": story.moments["four"]}
    target = place.restore("there", *(word.format_map(named) for word in words), "--tablespace-mapping", mapping)
    try:
        with started(target) as copy:
            assert rows(copy, NOTES) == [(note,) for note in notes]
            assert copy.sql(SPACE) == place.server.sql(SPACE)
            assert copy.sql("SELECT to_regclass('bulk') IS NOT NULL") == [(not words,)]
    finally:
        remove(target, place.top / "there.wal", place.top / "space-there")


def test_the_commands_of_the_page_work(story: Story, repository: Path, tmp_path: Path) -> None:
    """Those of docs/backup.md, "Point in time", as they stand, on this archive."""
    page = (repository / "docs" / "backup.md").read_text()
    part = page[page.index("## Point in time") : page.index("## File-system snapshots")]
    place = story.archive.again(tmp_path)
    words = {
        "/var/spool/hostward/shop": str(place.top / "page-spool"),
        "/var/lib/postgresql/then": str(place.top / "then"),
        "2026-11-22 14:30:05": story.moments["one"],
        "shop-": "",
        "hostward backup": f"{HOSTWARD} backup",
        "backup run": f"backup run --state-dir {place.own / 'state'}",
    }
    lines = "".join(re.findall(r"```bash\n(.*?)```", part, re.DOTALL)).replace(
        "restore-postgresql", f"restore-postgresql --tablespace-mapping {place.top}/space={place.top}/space-then"
    )
    for word, other in words.items():
        lines = lines.replace(word, other)
    environment = place.place.environment(HOSTWARD_CONFIG=str(place.own / "agent.toml"))
    done = subprocess.run(["sh", "-ex", "-c", lines], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "any moment can be restored" in done.stdout and (place.top / "then" / "recovery.signal").exists()
    assert (place.top / "page-spool").stat().st_mode & 0o777 == 0o700
    remove(place.top / "then", place.top / "then.wal", place.top / "space-then")


def test_nothing_is_overwritten(story: Story) -> None:
    """A folder with something in it is refused, be it for data, for WAL, or the tablespace at its old place."""
    place = story.archive
    for word, folder in (("--target", place.top / "full"), ("--wal-dir", place.top / "full-wal")):
        folder.mkdir()
        (folder / "precious").write_text("precious")
        words = {"--target": place.top / "new", word: folder}
        said = call(place, *(each for pair in words.items() for each in pair))
        assert said.returncode == 2 and f"{folder} is not empty" in said.stderr
        assert [entry.name for entry in folder.iterdir()] == ["precious"]
    said = call(place, "--target", place.top / "new")
    assert said.returncode == 2 and f"{place.top}/space is not empty" in said.stderr
    assert not (place.top / "new").exists() and not (place.top / "new.wal").exists()


def test_a_moment_that_is_not_there_is_refused(story: Story) -> None:
    """Before the base backup, after the last segment, a restore point that nobody made: one sentence each."""
    place = story.archive
    for words, reason in (
        (["--to", "2020-01-01 12:00:00"], "no base backup of cluster"),
        (["--to", "2099-01-01 12:00:00"], "the WAL in the repository ends before that time"),
        (["--name", "never"], 'there is no restore point "never"'),
        (["--system", "5"], "there is nothing of the cluster 5"),
    ):
        said = call(place, "--target", place.top / "new", *words)
        assert said.returncode == 1 and reason in said.stderr and said.stderr.count("\n") == 1
        assert not (place.top / "new").exists()


def test_a_gap_is_told(story: Story, tmp_path: Path) -> None:
    """Without one of the snapshots of WAL a restore says which segments are missing, and how far it goes; so does the
    view of the archive."""
    gapped = story.archive.again(tmp_path).place
    wal = [each for each in gapped.json("snapshots") if "postgresql-wal" in each["tags"]]
    gapped.hostward("forget", wal[0]["id"])
    target = story.archive.top / "gapped"

    done = called(["backup", "restore-postgresql", "--target", str(target)], gapped.environment())
    assert done.returncode == 1 and "WAL is missing: 0000000100000000" in done.stderr and not target.exists()
    (cluster,) = json.loads(gapped.hostward("wal", "status", "--json", code=1))
    assert cluster["windows"][-1]["gap"]["first"].startswith("00000001")
    assert "then WAL is missing" in gapped.hostward("wal", "status", code=1)


def test_the_archive_shows_how_it_stands(story: Story) -> None:
    """The window reaches from the base backup to the last segment; nothing waits once it is saved."""
    place = story.archive
    (cluster,) = json.loads(place.hostward("wal", "status", "--job", "wal", "--json"))
    (window,) = cluster["windows"]
    (base,) = cluster["bases"]
    assert window["gap"] is None and window["since"] == base["time"] < window["until"]
    assert cluster["last_saved"] and cluster["system"] == str(
        place.server.sql("SELECT system_identifier FROM pg_control_system()")[0][0]
    )
    assert "any moment can be restored" in place.hostward("wal", "status", "--job", "wal")


def test_stock_restic_has_all_of_it(story: Story, tmp_path: Path) -> None:
    """The repository is sound, and a base backup is a data folder that restic brings back as it is."""
    place = Place(story.archive.place.folder, newest_restic())
    place.peer("check", "--read-data")
    place.peer(
        "restore", "latest", "--tag", "postgresql-base", "--target", tmp_path / "out", "--include", "PG_VERSION"
    )
    assert [file.read_text().strip() for file in (tmp_path / "out").rglob("base/data/PG_VERSION")]


def test_rules_keep_the_wal_that_base_backups_need(story: Story, tmp_path: Path) -> None:
    """When a newer base backup is the only one that rules keep, the WAL before it goes too, and no other."""
    place = story.archive.again(tmp_path)
    before = wal_in(place)
    place.run("base")
    place.archived()
    place.run("wal")
    place.place.hostward("forget", "--keep-last", "1", "--prune")
    left = place.place.json("snapshots")
    assert len([each for each in left if "postgresql-base" in each["tags"]]) == 1
    assert wal_in(place) and not before & wal_in(place)
    mapping = f"{place.top}/space={place.top}/space-kept"
    target = place.restore("kept", "--tablespace-mapping", mapping)
    with started(target) as copy:
        assert rows(copy, NOTES)[-1] == ("four",)
    remove(target, place.top / "kept.wal", place.top / "space-kept")


_KILLED = """
import os, signal, sys
import agent.backups.sources.postgresql_wal as source
from backup.repository.repository import Repository
from agent.cli.main import main
def die(*words, **more):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "before":
    Repository.save_snapshot = die
else:  # while the first file is taken away that is not in the repository for long
    source.take_away = lambda files: die() if files else None
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_run_loses_nothing_and_saves_nothing_twice(story: Story, when: str, tmp_path: Path) -> None:
    """Killed before its snapshot is there, the run leaves the spool as it was; killed after that, the next run takes
    away what is saved, and makes no snapshot of it again."""
    place = story.archive.again(tmp_path)
    place.server.sql(f"INSERT INTO load SELECT -1, '{when}' WHERE false; SELECT pg_current_xact_id()")
    place.archived()
    waits = {file.name for file in waiting(place.spool)}
    count = len(place.place.json("snapshots"))
    words = ["backup", "run", "wal", "--config", place.own / "agent.toml", "--state-dir", place.own / "state"]
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, when, *map(str, words)], env=place.place.environment(), capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert waits and {file.name for file in waiting(place.spool)} == waits
    assert len(place.place.json("snapshots")) == count + (when == "after")

    place.run("wal")

    assert waiting(place.spool) == []
    assert len(place.place.json("snapshots")) == count + 1


def test_a_restored_server_goes_on_in_a_timeline_of_its_own(story: Story, tmp_path: Path) -> None:
    """A copy that takes the place of the lost one archives its own timeline; it is followed from then on, and the old
    one can still be named."""
    place, mapping = story.archive.again(tmp_path), "--tablespace-mapping"
    spool = place.spool = place.top / "spool-new"
    spool.mkdir()
    shutil.chown(spool, place.server.data.owner(), place.server.data.group())
    config = place.own / "agent.toml"
    config.write_text(config.read_text().replace(str(story.archive.spool), str(spool)))
    spaces = [f"{place.top}/space={place.top}/space-{name}" for name in ("new", "again", "old")]
    target = place.restore(
        "new", "--to", story.moments["one"], "--archive", "--action", "promote", mapping, spaces[0]
    )
    with started(target, settings=f"archive_command={HOSTWARD} backup wal archive {spool} %p %f") as copy:
        until(lambda: is_recovered(copy), "the moment")
        until(lambda: copy.sql("SELECT NOT pg_is_in_recovery()")[0][0], "the end of recovery")
        copy.sql("INSERT INTO notes (note) VALUES ('another two')")
        (name,) = copy.sql("SELECT pg_walfile_name(pg_switch_wal())")[0]
        assert name.startswith("00000002")
        until(lambda: name in {file.name for file in waiting(place.spool)}, f"segment {name}")
    place.run("wal")

    again = place.restore("again", mapping, spaces[1])
    with started(again) as copy:
        assert rows(copy, NOTES) == [("one",), ("another two",)]
    said = place.hostward(
        "restore-postgresql", "--target", place.top / "old", "--timeline", "1", "--dry-run", mapping, spaces[2]
    )
    assert "to timeline 1" in said
    for each in ("new", "again"):
        remove(place.top / each, place.top / f"{each}.wal", place.top / f"space-{each}")


def wal_in(place: Archive) -> set[str]:
    """The snapshots of WAL."""
    return {each["id"] for each in place.place.json("snapshots") if "postgresql-wal" in each["tags"]}


def call(place: Archive, *words: object) -> subprocess.CompletedProcess[str]:
    return called(["backup", "restore-postgresql", *map(str, words)], place.place.environment())
