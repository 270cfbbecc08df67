"""What happens between a verified report and its acknowledgement when something goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event

from collector import ingest
from collector.ingest import StoreError, Writer
from collector.metrics.embedded import EmbeddedHistory
from collector.store import hosts, postgresql, sqlite
from collector.store.database import Database, open_database
from collector.store.place import Place
from tests.collector import support
from tests.collector.store.test_hosts import record
from tests.collector.support import NOW, Clock, Host, check
from wire.errors import WireError
from wire.report import Reading, Reply, Report


@pytest.fixture
def database(db_place: Place) -> Iterator[Database]:
    """With eight hosts."""
    made = open_database(db_place)
    with made.write() as connection:
        for number in range(8):
            hosts.add_host(connection, record(number, f"web{number}"), bytes([number]) * 32)
    yield made
    made.close()


def report(number: int, message: str = "fine", sequence: int = 1) -> Report:
    """Of the host of this number."""
    state = check("cpu", time=NOW)
    return Report(
        host=record(number).id,
        epoch="e",
        sequence=sequence,
        boot="b",
        agent="0.1.0",
        time=NOW,
        interval=15,
        checks=[type(state)(name="cpu", kind="cpu", state="ok", message=message, since=NOW, time=NOW)],
        readings=[Reading("cpu", "cpu_used_percent", 1.0, "percent", {}, NOW)],
    )


def stored(database: Database, *reports: Report) -> list[Reply | BaseException]:
    """What comes of reports that arrive at the same moment."""

    async def run() -> list[Reply | BaseException]:
        writer = Writer(database, EmbeddedHistory(), clock=Clock())
        writer.start(asyncio.get_running_loop())
        outcomes = await asyncio.gather(
            *(writer.store(one, received=NOW, created=NOW) for one in reports), return_exceptions=True
        )
        await writer.stop()
        return outcomes

    return asyncio.run(run())


def marks(database: Database) -> dict[tuple[str, str], int]:
    """Of all hosts."""
    with database.read() as connection:
        return hosts.marks(connection, [record(number).id for number in range(8)])


def test_reports_that_arrive_together_share_a_transaction(database: Database) -> None:
    """Else each would wait for the disk by itself."""
    commits = 0

    def count(_connection: object) -> None:
        nonlocal commits
        commits += 1

    event.listen(database.engine, "commit", count)
    assert all(isinstance(one, Reply) for one in stored(database, *map(report, range(8))))
    assert commits < 8


def test_a_report_that_cannot_be_stored_fails_alone(database: Database) -> None:
    """The others of its group are stored and acknowledged; of it, nothing is."""
    bad = report(3, message="\ud800")  # no decoder gives this, and no database takes it
    outcomes = stored(database, report(1), report(2), bad, report(4))
    assert [type(one) for one in outcomes] == [Reply, Reply, StoreError, Reply]
    assert set(marks(database)) == {(record(number).id, "e") for number in (1, 2, 4)}


def test_repeats_within_a_group_are_stored_once(database: Database) -> None:
    """A host that sends again before the first was answered."""
    outcomes = stored(database, report(1), report(1), report(1, sequence=2), report(1))
    assert [one.duplicate for one in outcomes if isinstance(one, Reply)] == [False, True, False, True]
    assert marks(database) == {(record(1).id, "e"): 2}


def test_what_is_waiting_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes when home is full is told to come later, and room is made as reports are written."""
    monkeypatch.setattr(ingest, "WAITING", 2 * (ingest.REPORT_WEIGHT + 2))
    outcomes = stored(database, *map(report, range(5)))
    assert [type(one) for one in outcomes] == [Reply, Reply, WireError, WireError, WireError]
    assert {one.code for one in outcomes if isinstance(one, WireError)} == {"busy"}
    assert all(isinstance(one, Reply) for one in stored(database, report(3), report(4)))


def test_a_writer_that_is_stopped_writes_what_it_took(database: Database) -> None:
    """Nobody waits for an answer that does not come."""

    async def run() -> list[Reply]:
        writer = Writer(database, EmbeddedHistory(), clock=Clock())
        writer.start(asyncio.get_running_loop())
        tasks = [asyncio.create_task(writer.store(report(number), received=NOW, created=NOW)) for number in range(8)]
        await asyncio.sleep(0)
        await writer.stop()
        return await asyncio.gather(*tasks)

    assert len(asyncio.run(run())) == 8
    assert len(marks(database)) == 8


def test_a_database_that_cannot_be_written_makes_home_busy(
    db_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another process holds it: the agent keeps the report, is told when to come back, and then it is taken."""
    for module in (sqlite, postgresql):
        monkeypatch.setattr(module, "LOCK_TIMEOUT", 2.0)  # more than a commit takes on a busy machine
    with support.home(tmp_path, place=db_place) as home, closing(open_database(db_place)) as other:
        host = Host(home.client, home.clock)
        host.enroll(home.token())
        host.send()
        before, late = home.stored(), host.report()
        with other.write():
            answer = host.send(late)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
            assert answer.json()["error"]["permanent"] is False
            assert int(answer.headers["retry-after"]) > 0
            ready = home.client.get("/readyz")
            assert (ready.status_code, ready.json()["error"]["code"]) == (503, "not_ready")
            assert ready.json()["error"]["message"] == "The database cannot be written now; home's log says why."
            assert "the database cannot be written: " in caplog.text
            assert home.client.get("/healthz").status_code == 200
        assert home.stored() == before
        assert host.send(late).json()["duplicate"] is False
