"""Databases whose bytes are no longer what was written."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from agent.daemon.ledger import Ledger
from agent.daemon.loop import Daemon, Source
from agent.daemon.wake import Wake
from agent.home import identity
from agent.paths import System
from agent.state import State
from tests.agent.daemon.daemons import QUIET, Agent, wait_for
from tests.agent.daemon.homes import Home, acknowledged
from tests.faults import books
from tests.faults.lives import Life

PAGE = 4096


def header(database: Path) -> None:
    """The first bytes, which say what it is."""
    _flip(database, range(100))


def pages(database: Path) -> None:
    """Anything behind the first page."""
    _flip(database, range(PAGE, database.stat().st_size))


def log(database: Path) -> None:
    """The log, where the last transactions are: SQLite itself takes that for an earlier end of it."""
    wal = database.with_name("agent.db-wal")
    _flip(wal, range(wal.stat().st_size // 2, wal.stat().st_size))


def truncated(database: Path) -> None:
    """Cut off in the middle."""
    with database.open("r+b") as file:
        file.truncate(database.stat().st_size // 2)


def emptied(database: Path) -> None:
    """No byte is left, nor a log."""
    for path in database.parent.glob(f"{database.name}*"):
        path.write_bytes(b"")


def gone(database: Path) -> None:
    """Somebody removed it."""
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()


def folder(database: Path) -> None:
    """Something else has its name."""
    gone(database)
    database.mkdir()


def _flip(path: Path, where: range) -> None:
    chance = random.Random(str(where))
    data = bytearray(path.read_bytes())
    for _ in range(200):
        data[chance.choice(where)] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [header, pages, log, truncated, emptied, gone, folder])
def test_a_damaged_state_is_set_aside_and_told_at_home(
    agent: Agent, home: Home, damage: Callable[[Path], None]
) -> None:
    """The host is the same host, nothing is at home twice, and its reports go on."""
    agent.config.write_text(QUIET + '[home]\ninterval = "1s"\n[checks.memory]\nevery = "1s"\n')
    agent.start()
    wait_for(lambda: sum(books.stored(home.folder).readings.values()) > 10)
    me = identity.load(agent.state)
    assert agent.end(signal.SIGKILL) == -signal.SIGKILL  # so that there is a log
    damage(agent.state / "agent.db")
    agent.start()
    wait_for(lambda: any(kind == "state.damaged" for _, kind, _ in books.stored(home.folder).events))
    again = acknowledged(agent)
    wait_for(lambda: acknowledged(agent) > again)
    assert agent.end() == 0
    assert identity.load(agent.state) == me
    arrived = books.stored(home.folder)
    assert max(arrived.readings.values()) == 1, "a reading was counted twice"
    assert "Traceback" not in agent.said()
    status = agent.status()
    assert status["home"]["waiting"]["reports"] == 0
    assert status["home"]["name"] == me.name if me else False


def test_what_waits_in_a_damaged_state_is_saved(agent: Agent, home: Home) -> None:
    """Home was away, reports wait, a page that is not theirs is lost: all of them arrive all the same, each once."""
    home.stop()
    with closing(Life(agent.state).state) as state:
        state.connection.execute("CREATE TABLE ballast (content BLOB)")
    life = Life(agent.state)
    for _ in range(20):
        life.turn()
        life.compose()
    life.turn()
    life.state.connection.execute("INSERT INTO ballast VALUES (zeroblob(100000))")
    life.state.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    life.state.close()
    before = books.committed(agent.state)
    assert before.events.total() == 21
    database = agent.state / "agent.db"
    data = database.read_bytes()
    database.write_bytes(data[: -5 * PAGE] + b"\xff" * PAGE + data[-4 * PAGE :])
    agent.config.write_text(QUIET + '[home]\ninterval = "1s"\n')
    home.start()
    agent.start()
    wait_for(lambda: books.stored(home.folder).events.total() >= 22)
    wait_for(lambda: books.undelivered(agent.state) == 0)
    assert agent.end() == 0
    arrived = books.stored(home.folder)
    assert before.events - arrived.events == {}
    assert before.job_results == arrived.job_results
    assert before.readings == arrived.readings
    assert max(arrived.events.values()) == 1


def test_no_damage_keeps_an_agent_from_starting(tmp_path: Path) -> None:
    """Wrong bits anywhere in what a start reads: it goes on, with that database or a new one."""
    origin = tmp_path / "origin"
    origin.mkdir()
    with closing(State.open(origin)) as state:
        ledger = Ledger(state, "boot")
        ledger.reporting = True
        now = time.time()
        for number in range(3):
            ledger.stands(f"c{number}", "c", "ok", "fine", now=now)
        ledger.put("seen:job", str(now))
        ledger.put("running:job", str(now))
        ledger.flush(now)
    data = (origin / "agent.db").read_bytes()
    chance = random.Random(4)
    configuration = tmp_path / "agent.toml"
    configuration.write_text(QUIET)
    used = [place for place in range(len(data)) if data[place]]
    for _ in range(150):
        folder = tmp_path / "state"
        shutil.copytree(origin, folder)
        damaged = bytearray(data)
        for place in chance.sample(used, 7):
            damaged[place] ^= 1 << chance.randrange(8)
        (folder / "agent.db").write_bytes(damaged)
        _start(folder, configuration)
        shutil.rmtree(folder)


def _start(folder: Path, configuration: Path) -> None:
    """A daemon, from its start to its end, which is called for at once."""
    wake = Wake([signal.SIGTERM])
    try:
        signal.raise_signal(signal.SIGTERM)
        Daemon(folder, Source(configuration, True, System()), wake).serve()
    finally:
        wake.close()


def test_a_state_that_may_not_be_used_is_left_alone(agent: Agent, home: Home) -> None:
    """A file of somebody else's is no damage: the start fails with a sentence, and works once that is mended."""
    database = agent.state / "agent.db"
    mode = database.stat().st_mode
    content = database.read_bytes()
    database.chmod(0o000)
    agent.within = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--clear-groups", "--"]
    process = agent.launch()
    assert process.wait(60) == 1
    assert "cannot be used" in agent.said() and "Traceback" not in agent.said()
    database.chmod(mode)
    assert database.read_bytes() == content


@pytest.mark.parametrize("damage", [header, pages, truncated, emptied])
def test_a_damaged_home_says_so_and_begins_nothing_anew(home: Home, damage: Callable[[Path], None]) -> None:
    """An empty fleet would look like a quiet one. What is left of it stays where it is, for who restores it."""
    home.stop()
    database = home.folder / "collector.db"
    for name in ("collector.db-wal", "collector.db-shm"):
        (home.folder / name).unlink(missing_ok=True)
    damage(database)
    content = database.read_bytes()
    process = home.launch()
    assert process.wait(60) == 1, home.said()
    said = home.said()
    assert str(database) in said and "Traceback" not in said and len(said.splitlines()) <= 3, said
    assert database.read_bytes() == content
