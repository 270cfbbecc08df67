"""The agent's database: what it keeps, what it bounds, and what damage does to it."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import state as module
from agent.daemon.lock import Lock
from agent.state import State, StateCorruptError, StateError, StateFullError, StoredCheck
from tests.agent.tmpfs import fill, small_disk
from tests.require import require_root
from wire.report import CheckState, Event, Gap, JobResult, Reading


def check(name: str, message: str = "fine") -> CheckState:
    return CheckState(name=name, kind="cpu", state="ok", message=message, since=1.0, time=2.0, interval=15.0)


def run(name: str, started: float) -> JobResult:
    return JobResult(name=name, started=started, finished=started + 1, outcome="done", exit_code=0)


def populate(state: State) -> None:
    """Enough rows that the file has many pages."""
    with state.transaction():
        for number in range(500):
            state.save_check(StoredCheck(check(f"check-{number}", "m" * 200), b"memory", "boot"))


def test_the_folder_and_the_file_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Nobody else may read what the agent knows, whatever the umask."""
    before = os.umask(0)
    try:
        state = State.open(tmp_path / "a" / "state")
        with state.transaction():
            state.put("key", "value")
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in [*state.folder.iterdir(), state.folder]}
    finally:
        os.umask(before)
    assert modes == {"agent.db": 0o600, "agent.db-wal": 0o600, "agent.db-shm": 0o600, "state": 0o700}


def test_what_root_makes_belongs_to_whom_the_folder_belongs_to(tmp_path: Path) -> None:
    """`hostward run`, tried once by root, leaves nothing behind that stops the service, which is not root."""
    require_root()
    os.chown(tmp_path, 12345, 12346)
    state = State.open(tmp_path)
    with Lock.take(tmp_path), state.transaction():
        state.put("key", "value")
        owners = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in tmp_path.iterdir()}
    state.close()
    assert owners == dict.fromkeys(("agent.db", "agent.db-wal", "agent.db-shm", "agent.lock"), (12345, 12346))


def test_the_epoch_is_made_with_the_database_and_stays(tmp_path: Path) -> None:
    """Opening again gives the same epoch, another database another one."""
    first = State.open(tmp_path / "one")
    epoch = first.epoch
    first.close()
    assert State.open(tmp_path / "one").epoch == epoch
    assert State.open(tmp_path / "two").epoch != epoch


def test_checks_come_back_as_they_were_saved(tmp_path: Path) -> None:
    """State, memory and boot survive closing, the newest save wins, and names that are gone are forgotten."""
    state = State.open(tmp_path)
    with state.transaction():
        for name in ("a", "b", "c"):
            state.save_check(StoredCheck(check(name, "old"), b"old", "boot-1"))
        state.save_check(StoredCheck(check("b", "new"), b"\x00\xff", "boot-2"))
        state.keep_checks({"a", "b"})
    state.close()
    stored = State.open(tmp_path).checks()
    assert list(stored) == ["a", "b"]
    assert stored["b"] == StoredCheck(check("b", "new"), b"\x00\xff", "boot-2")


@given(runs=st.lists(st.sampled_from("abc"), max_size=30), keep=st.integers(1, 5))
def test_each_job_keeps_its_last_runs(runs: list[str], keep: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever the order of runs, each job has its newest `keep`, and the last of each is found by name."""
    state = State.open(tmp_path_factory.mktemp("state"))
    with state.transaction():
        for started, name in enumerate(runs):
            state.add_run(run(name, started), keep=keep)
    for name in set(runs):
        expected = [started for started, other in enumerate(runs) if other == name][-keep:]
        assert [result.started for result in state.runs(name)] == expected[::-1]
        assert state.last_runs()[name].started == expected[-1]
    assert set(state.last_runs()) == set(runs)
    state.close()


def test_events_are_bounded_and_the_newest_come_first(tmp_path: Path) -> None:
    """The history never outgrows its bound."""
    state = State.open(tmp_path)
    with state.transaction():
        for number in range(module.EVENTS_KEPT + 7):
            state.add_event(Event(time=number, kind="x", message="m"))
    times = [event.time for event in state.events()]
    assert times == [*range(module.EVENTS_KEPT + 6, 6, -1)]


def test_the_outbox_gives_rows_in_order_until_they_are_cleared(tmp_path: Path) -> None:
    """Readings, events and results wait in the order in which they came."""
    state = State.open(tmp_path)
    with state.transaction():
        state.enqueue([Reading("cpu", "cpu_used_percent", 12.5, "percent", {}, 3.0)])
        state.enqueue(Event(time=1, kind="x", message="m"))
        state.enqueue(run("backup", 5))
    rows = state.outbox(10)
    assert [row.kind for row in rows] == ["readings", "event", "job"]
    assert rows[0].row == b'[["cpu","cpu_used_percent",12.5,"percent",{},3.0]]'
    with state.transaction():
        state.clear_outbox(rows[1].id)
    assert state.outbox(10) == rows[2:]


def test_gaps_grow_until_a_report_takes_them(tmp_path: Path) -> None:
    """Losses for one reason add up over one span; what has been told is kept for status and not told again."""
    state = State.open(tmp_path)
    with state.transaction():
        state.add_gap(Gap(reason="size", since=10, until=20, readings=3))
        state.add_gap(Gap(reason="size", since=5, until=15, readings=4, events=1))
        state.add_gap(Gap(reason="age", since=1, until=2, reports=1))
        taken = state.take_gaps()
        state.add_gap(Gap(reason="size", since=30, until=40, readings=1))
    assert taken == [
        Gap(reason="size", since=5, until=20, readings=7, events=1),
        Gap(reason="age", since=1, until=2, reports=1),
    ]
    assert state.gaps(reported=False) == [Gap(reason="size", since=30, until=40, readings=1)]
    assert state.gaps() == [*taken, *state.gaps(reported=False)]


def test_told_gaps_are_bounded(tmp_path: Path) -> None:
    """An agent that loses something every day does not keep the list for ever."""
    state = State.open(tmp_path)
    with state.transaction():
        for number in range(3 * module.GAPS_KEPT):
            state.add_gap(Gap(reason="size", since=number, until=number))
            state.take_gaps()
    assert len(state.gaps()) <= module.GAPS_KEPT + 1


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    """What fails in the middle leaves nothing, and the next one works."""
    state = State.open(tmp_path)
    with pytest.raises(ZeroDivisionError), state.transaction():
        state.put("a", "1")
        _ = 1 / 0
    assert state.get("a") is None
    with state.transaction():
        state.put("a", "2")
    assert state.get("a") == "2"


def test_another_thread_uses_a_connection_of_its_own(tmp_path: Path) -> None:
    """A sibling in another thread sees and writes the same database."""
    state = State.open(tmp_path)
    epochs = []

    def work() -> None:
        other = state.sibling()
        with other.transaction():
            other.put("from", "thread")
        epochs.append(other.epoch)
        other.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert epochs == [state.epoch]
    assert state.get("from") == "thread"


def test_another_program_that_looks_does_not_take_the_log_away(tmp_path: Path) -> None:
    """An administrator's sqlite3 comes and goes beside an agent with two connections, and what they write stays."""
    state = State.open(tmp_path)
    other = state.sibling()
    with state.transaction():
        state.put("before", "1")
    look = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM meta').fetchall()"
    subprocess.run([sys.executable, "-c", look, str(tmp_path / module.FILE)], check=True)
    with state.transaction():
        state.put("after", "1")
    beside = State.read(tmp_path)
    assert (beside.get("before"), beside.get("after"), other.get("after")) == ("1", "1", "1")
    for connection in (beside, other, state):
        connection.close()


def test_reading_needs_no_writer_and_disturbs_none(tmp_path: Path) -> None:
    """`status` reads beside an open transaction, and also when no daemon has the file open."""
    state = State.open(tmp_path)
    with state.transaction():
        state.put("a", "1")
    with state.transaction():
        state.put("a", "2")
        beside = State.read(tmp_path)
        assert beside.get("a") == "1"
        with pytest.raises(StateError, match="readonly"), beside.transaction():
            beside.put("a", "3")
        beside.close()
    state.close()
    assert State.read(tmp_path).get("a") == "2"


def test_reading_where_nothing_is_says_so(tmp_path: Path) -> None:
    """The sentence names the folder and the way out."""
    with pytest.raises(StateError, match=r"there is no agent state in .*hostward run"):
        State.read(tmp_path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """A downgrade must not misread what a newer version wrote, and must not set it aside as damaged."""
    State.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "agent.db") as connection:
        connection.execute(f"PRAGMA user_version = {len(module.MIGRATIONS) + 1}")
    connection.close()
    for way in (State.open, State.read):
        with pytest.raises(StateError, match="written by a newer Hostward") as caught:
            way(tmp_path)
        assert not isinstance(caught.value, StateCorruptError)
    assert [p.name for p in tmp_path.iterdir() if "corrupt" in p.name] == []


def test_an_older_schema_is_brought_forward_with_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later script runs once, on top of what is there."""
    state = State.open(tmp_path)
    epoch = state.epoch
    state.close()
    later = (*module.MIGRATIONS, "CREATE TABLE later (id INTEGER); INSERT INTO later VALUES (7);")
    monkeypatch.setattr(module, "MIGRATIONS", later)
    for _ in range(2):
        state = State.open(tmp_path)
        assert state.connection.execute("SELECT id FROM later").fetchall() == [(7,)]
        assert state.epoch == epoch
        state.close()


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(5000))


def garbage_header(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(b"\0" * 100 + data[100:])


def torn_page(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + os.urandom(4096) + data[8192:])


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: -4096 * 3])


def short_text(path: Path) -> None:
    path.write_text("hello\n")


def another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE meta (key, value)")
    connection.close()


def without_epoch(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM meta")
    connection.close()


@pytest.mark.parametrize(
    "damage", [garbage, garbage_header, torn_page, cut_short, short_text, another_program, without_epoch]
)
def test_a_damaged_database_is_set_aside(damage: object, tmp_path: Path) -> None:
    """The damaged file stays for who wants to look, and a new one begins under another epoch."""
    assert callable(damage)
    state = State.open(tmp_path)
    populate(state)
    epoch = state.epoch
    state.close()
    damage(tmp_path / "agent.db")
    content = (tmp_path / "agent.db").read_bytes()

    state = State.open(tmp_path)
    assert state.epoch != epoch
    assert state.checks() == {}
    assert state.damage is not None and state.damage.aside is not None
    assert state.damage.aside.name.startswith("agent.db.corrupt-2")
    assert state.damage.aside.read_bytes() == content
    state.close()
    again = State.open(tmp_path)
    assert again.damage is None
    again.close()


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    """A kill between creation and the first table leaves an empty file, which is no damage."""
    (tmp_path / "agent.db").touch()
    state = State.open(tmp_path)
    assert state.damage is None
    assert state.epoch


def test_damage_under_a_running_agent_is_named(tmp_path: Path) -> None:
    """A page that is torn while the file is open raises the error that makes the daemon begin anew."""
    state = State.open(tmp_path)
    populate(state)
    state.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = (tmp_path / "agent.db").stat().st_size
    with (tmp_path / "agent.db").open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    with pytest.raises(StateCorruptError), state.transaction():
        state.connection.execute("PRAGMA shrink_memory")
        state.save_check(StoredCheck(check("a"), b"", ""))
        state.keep_checks({"a"})
    state.close()


def test_few_damaged_databases_are_kept(tmp_path: Path) -> None:
    """A disk that damages the file again and again is not filled by the remains."""
    for _ in range(module.CORRUPT_KEPT + 3):
        State.open(tmp_path).close()
        garbage(tmp_path / "agent.db")
    State.open(tmp_path).close()
    assert len(list(tmp_path.glob("agent.db.corrupt-*"))) == module.CORRUPT_KEPT


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    """A file in the place of the folder is told as such."""
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=r"state folder .*file/state cannot be used: Not a directory"):
        State.open(tmp_path / "file" / "state")


@pytest.mark.root
def test_a_full_disk_fails_the_transaction_and_not_the_database(tmp_path: Path) -> None:
    """Without room nothing of the transaction is kept; with room again the same database goes on."""
    require_root()
    with small_disk(tmp_path / "disk", size="1M") as disk:
        state = State.open(disk / "state")
        with state.transaction():
            state.put("before", "1")
        ballast = disk / "ballast"
        fill(ballast)
        with pytest.raises(StateFullError, match="no room is left"):
            for number in range(10_000):
                with state.transaction():
                    state.put(f"key-{number}", "x" * 1000)
        assert state.get("before") == "1"
        with pytest.raises(StateFullError):
            State.open(disk / "other")
        ballast.unlink()
        with state.transaction():
            state.put("after", "2")
        assert state.get("after") == "2"
        state.close()
        again = State.open(disk / "state")
        assert again.damage is None
        assert again.get("after") == "2"
        again.close()


def test_delivered_room_goes_back_to_the_file_system(tmp_path: Path) -> None:
    """A database that was large while home was away shrinks afterwards."""
    state = State.open(tmp_path)
    with state.transaction():
        for _ in range(9000):
            state.enqueue(Event(time=1, kind="x", message="m" * 1000))
    state.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    large = (tmp_path / "agent.db").stat().st_size
    with state.transaction():
        state.clear_outbox(10**9)
    for _ in range(5):
        state.give_back()
    state.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert (tmp_path / "agent.db").stat().st_size < large - 4 * 256 * 4096
