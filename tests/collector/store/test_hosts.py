"""Queries about hosts, on every database that can hold them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError

from collector.api.shapes import StateChange
from collector.rules.highlights import Figure, Vitals
from collector.rules.intake import HostRecord
from collector.store import hosts
from collector.store.database import Database, open_database
from collector.store.place import Place
from tests.collector.support import NOW, check
from wire.report import Event, Gap, JobResult

KEY = b"k" * 32


def record(number: int = 1, name: str = "web1") -> HostRecord:
    """A host that is enrolled."""
    return HostRecord(id=f"{number:016x}", name=name, enrolled=NOW, agent="0.1.0", facts={"os": "Debian"}, since=NOW)


@pytest.fixture
def database(db_place: Place) -> Iterator[Database]:
    """An empty one of each kind."""
    made = open_database(db_place)
    yield made
    made.close()


def test_a_record_comes_back_as_it_was_stored(database: Database) -> None:
    """With everything in it."""
    full = replace(
        record(),
        state="warning",
        message="disk: full – ünïcode",
        epoch="e",
        boot="b",
        received=NOW + 0.25,
        reported=NOW - 3,
        interval=15.0,
        clock_offset=-3.25,
        checks=[check("cpu"), check("disk", "warning")],
        vitals=Vitals(cpu=Figure("cpu", 1.5), disks=[Figure("disk", 91.0, "/var")]),
        lost={"readings": 1, "events": 2, "job_results": 3, "reports": 1 << 60},
    )
    with database.write() as connection:
        hosts.add_host(connection, record(), KEY)
        hosts.save_standing(connection, [full])
    with database.read() as connection:
        assert hosts.records(connection, [full.id, "nobody"]) == {full.id: full}
        assert hosts.find_active(connection, full.id) == full
        assert hosts.find_active(connection, "web1") == full
        assert hosts.active_by_key(connection, KEY) == full


def test_an_id_goes_before_a_name(database: Database) -> None:
    """A host that is named like another's id does not stand in its way."""
    with database.write() as connection:
        hosts.add_host(connection, record(1, "web1"), KEY)
        hosts.add_host(connection, record(2, f"{1:016x}"), b"l" * 32)
    with database.read() as connection:
        found = hosts.find_active(connection, f"{1:016x}")
    assert found is not None
    assert found.name == "web1"


@pytest.mark.parametrize(("name", "key"), [("web1", b"l" * 32), ("web2", KEY)])
def test_names_and_keys_are_of_one_host_at_a_time(database: Database, name: str, key: bytes) -> None:
    """A revoked host frees both."""
    with database.write() as connection:
        hosts.add_host(connection, record(), KEY)
    with pytest.raises(IntegrityError), database.write() as connection:
        hosts.add_host(connection, record(2, name), key)
    with database.write() as connection:
        hosts.revoke(connection, record().id, NOW)
        hosts.add_host(connection, record(2, name), key)
    with database.read() as connection:
        assert [found.id for found in hosts.active_hosts(connection)] == [record(2).id]


def test_revoking_deletes_the_key(database: Database) -> None:
    """And it is known ever after that the host was revoked."""
    with database.write() as connection:
        hosts.add_host(connection, record(), KEY)
        hosts.revoke(connection, record().id, NOW)
    with database.read() as connection:
        assert hosts.credential(connection, record().id) == hosts.Credential(key=None, revoked=True)
        assert hosts.credential(connection, "nobody") is None
        assert hosts.records(connection, [record().id]) == {}


def test_marks_are_per_host_and_epoch(database: Database) -> None:
    """Writing one again replaces it."""
    one, other = record(1, "a"), record(2, "b")
    with database.write() as connection:
        hosts.add_host(connection, one, KEY)
        hosts.add_host(connection, other, b"l" * 32)
        hosts.save_marks(connection, {(one.id, "e"): 1, (one.id, "f"): 7, (other.id, "e"): 3}, NOW)
        hosts.save_marks(connection, {(one.id, "e"): 2}, NOW + 1)
    with database.read() as connection:
        assert hosts.marks(connection, [one.id]) == {(one.id, "e"): 2, (one.id, "f"): 7}


def test_the_newest_come_first_and_jobs_by_their_last_run(database: Database) -> None:
    """As the pages show them."""
    with database.write() as connection:
        hosts.add_host(connection, record(), KEY)
        for number in range(3):
            run = JobResult(name="backup", started=NOW, finished=NOW + number, outcome="done")
            hosts.add_intake(
                connection,
                hosts.Intake(
                    changes=[
                        (record().id, StateChange(time=NOW, check=str(number), before=None, after="ok", message=""))
                    ],
                    events=[(record().id, Event(time=NOW, kind=f"k{number}", message="m", check="cpu"))],
                    jobs=[(record().id, run), (record().id, replace_name(run, "other"))],
                ),
            )
    with database.read() as connection:
        assert [change.check for change in hosts.recent_changes(connection, record().id, 2)] == ["2", "1"]
        assert [event.kind for event in hosts.recent_events(connection, record().id, 2)] == ["k2", "k1"]
        assert [(run.name, run.finished) for run in hosts.last_runs(connection, record().id)] == [
            ("backup", NOW + 2),
            ("other", NOW + 2),
        ]


def replace_name(run: JobResult, name: str) -> JobResult:
    """The same run of another job."""
    return JobResult(name=name, started=run.started, finished=run.finished, outcome=run.outcome)


def test_pruning_keeps_the_newest_of_each_host(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a host fills takes nothing from another."""
    for name in ("KEPT_CHANGES", "KEPT_EVENTS", "KEPT_GAPS", "KEPT_STREAMS", "KEPT_RUNS"):
        monkeypatch.setattr(hosts, name, 2)
    loud, quiet = record(1, "loud"), record(2, "quiet")
    with database.write() as connection:
        hosts.add_host(connection, loud, KEY)
        hosts.add_host(connection, quiet, b"l" * 32)
        for number in range(5):
            for one in (loud,) if number else (quiet, loud):
                hosts.add_intake(
                    connection,
                    hosts.Intake(
                        changes=[
                            (one.id, StateChange(time=NOW, check=str(number), before=None, after="ok", message=""))
                        ],
                        events=[(one.id, Event(time=NOW, kind=f"k{number}", message="m"))],
                        jobs=[
                            (one.id, JobResult(name=name, started=NOW, finished=NOW + number, outcome="done"))
                            for name in ("a", "b")
                        ],
                        gaps=[(one.id, Gap(reason="size", since=0, until=1))],
                    ),
                )
                hosts.save_marks(connection, {(one.id, f"e{number}"): number}, NOW + number)
        hosts.prune(connection)
    with database.read() as connection:
        assert [event.kind for event in hosts.recent_events(connection, loud.id, 9)] == ["k4", "k3"]
        assert [change.check for change in hosts.recent_changes(connection, loud.id, 9)] == ["4", "3"]
        assert hosts.marks(connection, [loud.id]) == {(loud.id, "e4"): 4, (loud.id, "e3"): 3}
        assert [run.finished for run in hosts.last_runs(connection, loud.id)] == [NOW + 4, NOW + 4]
        assert len(hosts.recent_events(connection, quiet.id, 9)) == 1
        assert hosts.marks(connection, [quiet.id]) == {(quiet.id, "e0"): 0}
