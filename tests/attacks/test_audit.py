"""The audit log: what is written, and that nothing of it can be changed unseen."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import audit
from collector.audit import AuditError, Head
from collector.metrics.embedded import EmbeddedHistory
from collector.store.database import open_database
from collector.store.place import Place
from collector.worker import Worker
from tests.collector import support
from tests.collector.support import Home


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """A database with nine entries."""
    database = open_database(tmp_path / "collector.db", create=True)
    with database.write() as connection:
        for number in range(9):
            audit.append(connection, "token.created", actor=f"unix:user{number}", now=1000.0 + number / 3)
    database.close()
    return tmp_path / "collector.db"


def tampered(chain: Path, *statements: str) -> None:
    """By somebody who can write the file."""
    with sqlite3.connect(chain) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def verified(chain: Path, known: Head | None = None) -> Head:
    """The chain's head, if it holds."""
    database = open_database(chain)
    try:
        with database.read() as connection:
            return audit.verify(connection, known)
    finally:
        database.close()


TAMPERING: dict[str, tuple[tuple[str, ...], str]] = {
    "another actor": (("UPDATE audit SET actor = 'unix:eve' WHERE number = 4",), "entry 4 "),
    "another time": (("UPDATE audit SET time = time + 1e-6 WHERE number = 9",), "entry 9 "),
    "another detail in the first": (("UPDATE audit SET detail = 'x' WHERE number = 1",), "entry 1 .*was changed"),
    "another hash": (("UPDATE audit SET hash = zeroblob(32) WHERE number = 5",), "entry 5 "),
    "one removed": (("DELETE FROM audit WHERE number = 4",), "entry 4 is missing"),
    "the first removed": (("DELETE FROM audit WHERE number = 1",), "entry 1 is missing"),
    "one removed and the rest moved up": (
        (
            "DELETE FROM audit WHERE number = 4",
            *(f"UPDATE audit SET number = {number - 1} WHERE number = {number}" for number in range(5, 10)),
        ),
        "entry 4 ",
    ),
    "two in another order": (
        (
            "UPDATE audit SET number = 100 WHERE number = 3",
            "UPDATE audit SET number = 3 WHERE number = 4",
            "UPDATE audit SET number = 4 WHERE number = 100",
        ),
        "entry 3 ",
    ),
    "one added": (
        (
            "INSERT INTO audit SELECT 10, time, actor, address, act, subject, detail, hash FROM audit"
            " WHERE number = 9",
        ),
        "entry 10 ",
    ),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_whatever_is_changed_is_found_where_it_is(chain: Path, what: str) -> None:
    """By its number."""
    statements, message = TAMPERING[what]
    assert verified(chain).number == 9
    tampered(chain, *statements)
    with pytest.raises(AuditError, match=message):
        verified(chain)


def test_an_end_that_was_cut_off_is_found_by_a_head_that_was_kept(chain: Path) -> None:
    """And by nothing else: without it, a shorter chain is whole."""
    known = verified(chain)
    tampered(chain, "DELETE FROM audit WHERE number > 6")
    assert verified(chain).number == 6
    with pytest.raises(AuditError, match="its end was cut off"):
        verified(chain, known)


def test_a_chain_that_was_written_anew_is_found_by_a_head_that_was_kept(chain: Path, tmp_path: Path) -> None:
    """However consistent it is."""
    known = verified(chain)
    tampered(chain, "DELETE FROM audit")
    database = open_database(chain)
    with database.write() as connection:
        for _ in range(12):
            audit.append(connection, "token.created", actor="unix:eve", now=1.0)
    database.close()
    assert verified(chain).number == 12
    with pytest.raises(AuditError, match="written anew"):
        verified(chain, known)


def test_a_head_of_long_ago_is_still_in_the_chain(chain: Path) -> None:
    """More entries do not make it wrong; nor is there anything before the first."""
    known = verified(chain)
    database = open_database(chain)
    with database.write() as connection:
        audit.append(connection, "token.created", actor="unix:anna", now=2000.0)
    database.close()
    assert verified(chain, known).number == 10
    assert verified(chain, Head(0, audit.START)).number == 10


def test_an_act_that_fails_leaves_no_entry(home: Home) -> None:
    """Both are one transaction."""
    with pytest.raises(ZeroDivisionError), home.database.write() as connection:
        audit.append(connection, "user.deleted", actor="unix:anna", now=1.0)
        _ = 1 / 0
    with home.database.read() as connection:
        assert audit.head(connection) == Head(0, audit.START)


def test_writers_in_many_threads_make_one_chain(home: Home) -> None:
    """Each follows the one before it."""

    def write() -> None:
        for _ in range(25):
            with home.database.write() as connection:
                audit.append(connection, "token.created", actor="unix:anna", now=1.0)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with home.database.read() as connection:
        assert audit.verify(connection).number == 100


def test_every_command_that_changes_something_is_written_down_with_who_ran_it(data_folder: Path) -> None:
    """And those that only show something are not."""

    def run(*words: str, password: str | None = None) -> str:
        done = support.run(*words, "--data-dir", str(data_folder), input=password)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    run("token", "create")
    run("api-token", "create", "--role", "operator")
    [token] = json.loads(run("api-token", "list", "--json"))
    run("api-token", "revoke", token["id"])
    run("user", "create", "anna", password="long enough\n")
    run("user", "password", "anna", password="longer than that\n")
    run("user", "delete", "anna")
    run("certificate", "issue", "--name", "home.example.org")
    run("host", "list")
    run("user", "list")
    found = json.loads(run("audit", "list", "--json"))
    assert [entry["act"] for entry in found] == [
        "collector.initialised",
        "token.created",
        "api-token.created",
        "api-token.revoked",
        "user.created",
        "user.password",
        "user.deleted",
        "certificate.issued",
    ]
    assert all(entry["actor"].startswith("unix:") for entry in found)
    assert [entry["subject"] for entry in found[4:7]] == ["user:anna"] * 3
    assert "long enough" not in json.dumps(found)
    said = run("audit", "verify")
    assert said.startswith("8 entries")
    head = said.rpartition(" ")[2]
    run("token", "create")
    assert run("audit", "verify", "--head", head).startswith("9 entries")
    assert "certificate.issued" in run("audit", "list")
    assert len(run("audit", "list", "--last", "2").splitlines()) == 3


def test_a_log_that_does_not_hold_is_told_in_one_line(data_folder: Path) -> None:
    """With exit code 1, for a timer that watches it."""
    tampered(data_folder / "collector.db", "UPDATE audit SET actor = 'unix:eve'")
    done = support.run("audit", "verify", "--data-dir", str(data_folder))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "hostward-collector: entry 1 does not follow from what is before it: it was changed"
    ]


@pytest.mark.parametrize("text", ["", "1", "x:y", "1:" + "g" * 64, "-1:" + "0" * 64, "٣:" + "0" * 64])
def test_what_is_no_head_is_bad_usage(data_folder: Path, text: str) -> None:
    """Before anything is looked at."""
    done = support.run("audit", "verify", "--data-dir", str(data_folder), "--head", text)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


@given(st.text())
def test_any_text_is_a_head_or_a_value_error(text: str) -> None:
    """It comes from a log, or from a person's notes."""
    try:
        found = Head.parse(text)
    except ValueError:
        return
    assert Head.parse(str(found)) == found


def test_the_api_gives_it_to_administrators_page_by_page(home: Home) -> None:
    """The newest first, with the head that a person may keep."""
    with home.database.write() as connection:
        for number in range(5):
            head = audit.append(connection, "token.created", actor=f"unix:user{number}", now=float(number))
    admin = home.bearer("admin")
    first = home.client.get("/api/v1/audit?limit=3", headers=admin).json()
    assert [entry["number"] for entry in first["entries"]] == [5, 4, 3]
    assert first["head"] == str(head)
    rest = home.client.get("/api/v1/audit?before=3", headers=admin).json()
    assert [entry["number"] for entry in rest["entries"]] == [2, 1]
    for query in ("limit=0", "limit=1001", "limit=x", "before=-1", "limit=1&limit=2", "after=3", "before=٣"):
        assert home.client.get(f"/api/v1/audit?{query}", headers=admin).status_code == 422


def test_the_head_goes_to_the_servers_log(db_place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Where who can write the database may not be able to write; once for each change."""
    # Not a whole home's: that has a worker of its own, which tells it too.
    with closing(open_database(db_place)) as database, caplog.at_level("INFO"):
        told: Callable[[], None] = Worker(
            database, EmbeddedHistory(), clock=time.time, ticks=time.monotonic
        )._tell_head
        told()
        assert caplog.messages == []
        with database.write() as connection:
            head = audit.append(connection, "token.created", actor="unix:anna", now=1.0)
        told()
        told()
    assert caplog.messages == [f"audit log head: {head}"]
