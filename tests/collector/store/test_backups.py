"""What is kept of runs and drills."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from collector.rules.intake import HostRecord
from collector.store import backups, hosts
from collector.store.backups import KEPT_DRILLS, KEPT_NAMES, KEPT_RUNS, Came
from collector.store.database import Database, open_database
from collector.store.place import Place
from tests.collector.ran import DAY, drill, run
from tests.collector.support import NOW
from wire.report import BackupRun, Drill


@pytest.fixture
def database(db_place: Place) -> Iterator[Database]:
    """With the hosts a and b."""
    found = open_database(db_place)
    with found.write() as connection:
        for name in "ab":
            record = HostRecord(id=name, name=name, enrolled=1.0, agent="0.1.0", facts={}, since=1.0)
            hosts.add_host(connection, record, name.encode())
    yield found
    found.close()


def add(database: Database, *given: BackupRun, host: str = "a", newest: bool = True) -> None:
    with database.write() as connection:
        backups.add_runs(connection, [Came(host, one, NOW, newest) for one in given])


def test_runs_come_back_as_they_came_in_pages(database: Database) -> None:
    """The newest first; of all jobs or of one."""
    given = [run(job, ended=NOW + number) for number in range(3) for job in ("web", "shop")]
    add(database, *given)
    add(database, run("web"), host="b")
    with database.read() as connection:
        first = backups.runs(connection, "a", job=None, before=None, limit=4)
        rest = backups.runs(connection, "a", job=None, before=first[-1].id, limit=4)
        assert [one.what for one in (*first, *rest)] == given[::-1]
        assert {one.received for one in first} == {NOW}
        web = backups.runs(connection, "a", job="web", before=None, limit=9)
        assert [one.what for one in web] == given[-2::-2]
        assert backups.runs(connection, "a", job="other", before=None, limit=9) == []


def test_the_history_of_each_job_is_bounded_as_it_grows(database: Database) -> None:
    """A job that runs every minute pushes out none of another's runs."""
    add(database, run("rare"))
    for start in range(0, KEPT_RUNS + 20, 60):
        add(database, *(run("often", ended=NOW + number) for number in range(start, start + 60)))
    with database.read() as connection:
        kept = backups.runs(connection, "a", job="often", before=None, limit=2 * KEPT_RUNS)
        assert len(kept) == KEPT_RUNS
        assert len(backups.runs(connection, "a", job="rare", before=None, limit=9)) == 1


def test_names_without_end_push_out_those_not_heard_of_for_the_longest(database: Database) -> None:
    """With their history."""
    with database.write() as connection:
        names = [f"job{number:03}" for number in range(KEPT_NAMES + 5)]
        for number, name in enumerate(names):
            backups.add_runs(connection, [Came("a", run(name), NOW + number, True)])
    with database.read() as connection:
        assert [job for _, job, _ in backups.jobs(connection, "a")] == names[5:]
        assert len(backups.runs(connection, "a", job=None, before=None, limit=1000)) == KEPT_NAMES


def test_drills_are_kept_as_runs_are(database: Database) -> None:
    given: list[Drill] = [drill(ended=NOW + number) for number in range(KEPT_DRILLS + 2)]
    with database.write() as connection:
        backups.add_drills(connection, [Came("a", one, NOW, True) for one in given])
    with database.read() as connection:
        kept = backups.drill_history(connection, "a", name="weekly", before=None, limit=1000)
        assert [one.what for one in kept] == given[:1:-1]
        ((host, name, standing),) = backups.plans(connection)
        assert (host, name, standing.last) == ("a", "weekly", given[-1])
        (trend,) = backups.trends(connection, [("a", "weekly"), ("b", "weekly")]).values()
        assert trend[-1].time == given[-1].finished


def test_how_jobs_stand_is_read_for_all_hosts_that_are_not_revoked(database: Database) -> None:
    add(database, run("web", ended=NOW - DAY), run("web"), run("shop"))
    add(database, run("web"), host="b")
    with database.write() as connection:
        assert [(host, job) for host, job, _ in backups.jobs(connection)] == [
            ("a", "shop"),
            ("a", "web"),
            ("b", "web"),
        ]
        hosts.revoke(connection, "b", NOW)
        assert [host for host, _, _ in backups.jobs(connection)] == ["a", "a"]
        assert [host for host, _, _ in backups.jobs(connection, "a")] == ["a", "a"]
        sizes = backups.sizes(connection, [("a", "web"), ("a", "none")])
        assert {key: len(points) for key, points in sizes.items()} == {("a", "web"): 2}
        assert backups.sizes(connection, []) == {}
        many = [(host, f"job{number}") for host in "ab" for number in range(1100)]
        assert backups.sizes(connection, [*many, ("a", "web")]).keys() == {("a", "web")}


def test_what_is_forgotten_begins_anew(database: Database) -> None:
    add(database, run("web"), run("shop"))
    with database.write() as connection:
        backups.add_drills(connection, [Came("a", drill(), NOW, True)])
        assert backups.forget_job(connection, "a", "web")
        assert not backups.forget_job(connection, "a", "web")
        assert backups.forget_drill(connection, "a", "weekly")
        assert [job for _, job, _ in backups.jobs(connection)] == ["shop"]
        assert [one.what.job for one in backups.runs(connection, "a", job=None, before=None, limit=9)] == ["shop"]
        assert backups.plans(connection) == []
    add(database, run("web", ended=NOW + DAY))
    with database.read() as connection:
        assert len(backups.runs(connection, "a", job="web", before=None, limit=9)) == 1
