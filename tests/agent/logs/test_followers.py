"""Compressing waits for our own followers: real checks, whose places are in a real state."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.checks.contract import Context, Sample
from agent.checks.log import Log, LogOptions, Pattern
from agent.checks.runner import Memory
from agent.logs import followers
from agent.logs.followers import PATIENCE, TAIL, File, Followed, Followers, follows, unread
from agent.paths import System
from agent.state import State, StoredCheck
from tests.require import require_root
from wire.report import CheckState

NOW = 1_800_000_000.0
MiB = 2**20


class Follower:
    """A `log` check that looks when it is told to, and the agent's state that remembers what it saw."""

    def __init__(self, state: Path, *files: Path, name: str = "errors", **options: Any) -> None:
        found = Pattern(name="line", match="line")
        self.check = Log(LogOptions(files=tuple(map(str, files)), patterns=(found,), begin="beginning", **options))
        self.name = name
        self.folder = state
        self.sample = Sample()

    def look(self, now: float) -> int:
        """The lines that were counted so far."""
        previous = msgspec.msgpack.decode(msgspec.msgpack.encode(self.sample.memory))
        self.sample = self.check.collect(Context(System(), now, previous))
        memory = Memory(kind="log", state="ok", since=now, previous=self.sample.memory)
        state = CheckState(name=self.name, kind="log", state="ok", message="", since=now, time=now)
        # Closed before anybody forks, as the daemon's is in another process: SQLite does not stand that.
        with closing(State.open(self.folder)) as kept, kept.transaction():
            kept.save_check(StoredCheck(state, msgspec.msgpack.encode(memory), "boot"))
        return next(int(m.value) for m in self.sample.measurements if m.name == "log_lines_total")


class Asked:
    """What the engine asks, some seconds after the file was rotated."""

    def __init__(self, state: Path, file: Path, *, later: float = 0.0) -> None:
        status = file.stat()
        self.said: list[str] = []
        asked = Followers(str(state), now=status.st_ctime + later, say=self.said.append)
        self.answer = asked.may_compress(str(file), status.st_dev, status.st_ino)
        self.waiting = asked.waiting


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    return tmp_path / "log/app.log"


def test_without_an_agent_nobody_is_waited_for(tmp_path: Path, log: Path) -> None:
    """And nothing is made."""
    log.write_text("line\n")
    assert Asked(tmp_path / "none", log).answer
    assert not (tmp_path / "none").exists()


def test_a_rotated_log_waits_until_it_was_read_to_its_end(state: Path, log: Path) -> None:
    """Each line is counted once, also those that were written after the last look."""
    check = Follower(state, log)
    log.write_text("line\n" * 100)
    assert check.look(log.stat().st_ctime + 10) == 100
    with log.open("a") as stream:
        stream.write("line\n" * 7)
    rotated = log.rename(log.with_name("app.log.1"))
    log.write_text("line\n" * 3)
    asked = Asked(state, rotated)
    assert not asked.answer
    assert asked.waiting == [str(rotated)]
    assert check.look(rotated.stat().st_ctime + 60) == 110
    assert Asked(state, rotated).answer
    rotated.unlink()
    rotated.with_name("app.log.1.gz").write_bytes(b"as compressed")
    assert check.look(NOW + 60) == 110


def test_a_log_that_came_and_went_between_two_looks_waits_too(state: Path, log: Path) -> None:
    """No place knows it."""
    check = Follower(state, log)
    log.write_text("line\n")
    check.look(log.stat().st_ctime)
    log.rename(log.with_name("app.log.2"))
    log.write_text("line\nline\n")
    rotated = log.rename(log.with_name("app.log.1"))
    assert not Asked(state, rotated).answer
    assert check.look(rotated.stat().st_ctime + 60) == 3
    assert Asked(state, rotated).answer


def test_a_copy_waits_until_the_content_was_found_in_it(state: Path, log: Path) -> None:
    """Rotation by copytruncate: what was not read of the log is read of the copy."""
    check = Follower(state, log)
    log.write_text("line\n" * 10)
    check.look(log.stat().st_ctime)
    with log.open("a") as stream:
        stream.write("line\n" * 5)
    copy = log.with_name("app.log.1")
    copy.write_bytes(log.read_bytes())
    os.truncate(log, 0)
    assert not Asked(state, copy).answer
    assert check.look(copy.stat().st_ctime + 60) == 15
    assert Asked(state, copy).answer


def test_one_that_is_behind_is_waited_for_and_one_that_is_not_is_not(state: Path, log: Path) -> None:
    """A check that reads a bounded part at once has to come again; another's progress does not help."""
    slow = Follower(state, log, name="slow", at_once=2**16)
    log.write_text("line\n" * 50_000)
    now = log.stat().st_ctime
    slow.look(now)
    Follower(state, log, name="fast").look(now)
    rotated = log.rename(log.with_name("app.log.1"))
    assert not Asked(state, rotated).answer
    counted = [slow.look(now + 60 * turn) for turn in range(1, 8)]
    assert counted[-1] == 50_000
    assert Asked(state, rotated).answer


def test_after_a_while_it_is_waited_for_no_longer_and_that_is_said(state: Path, log: Path) -> None:
    """A check that is stopped keeps no disk from being freed."""
    check = Follower(state, log)
    log.write_text("line\n")
    check.look(log.stat().st_ctime - 10)
    with log.open("a") as stream:
        stream.write("line\n")
    rotated = log.rename(log.with_name("app.log.1"))
    assert not Asked(state, rotated, later=PATIENCE - 60).answer
    asked = Asked(state, rotated, later=PATIENCE + 60)
    assert asked.answer
    sentence = f"{rotated} is compressed although it has not been read to its end by the check errors"
    assert asked.said == [sentence]


def test_a_line_without_an_end_is_no_reason_to_wait(state: Path, log: Path) -> None:
    """No check counts it."""
    check = Follower(state, log)
    log.write_text("line\nhalf a li")
    check.look(log.stat().st_ctime)
    assert Asked(state, log.rename(log.with_name("app.log.1"))).answer


def test_other_logs_do_not_wait(state: Path, log: Path) -> None:
    """Neither of another name nor of another folder."""
    Follower(state, log).look(NOW - 10**9)
    other = log.with_name("other.log.1")
    other.write_text("line\n")
    assert Asked(state, other).answer


def test_a_state_that_cannot_be_read_keeps_nobody_waiting(state: Path, log: Path) -> None:
    """It is said."""
    state.mkdir()
    (state / "agent.db").write_bytes(b"no database" * 100)
    log.write_text("line\n")
    asked = Asked(state, log)
    assert asked.answer
    assert asked.said == ["how far the checks of logs have read cannot be told: they are not waited for"]


@pytest.mark.parametrize("as_another", [False, True], ids=["as root", "by su of a rule"])
def test_the_state_is_read_with_its_owners_rights_and_left_as_it_is(
    state: Path, log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, as_another: bool
) -> None:
    """Root opens no database that another user made, and makes no file that the agent then cannot use."""
    require_root()
    check = Follower(state, log)
    log.write_text("line\n")
    check.look(log.stat().st_ctime)
    for path in [state, *state.iterdir()]:
        os.chown(path, 65534, 65534)
    witness = os.open(tmp_path / "who", os.O_RDWR | os.O_CREAT)
    real = followers._become_owner

    def become(path: str) -> None:
        real(path)
        os.write(witness, f"{os.geteuid()} {os.getegid()} {os.getgroups()}".encode())

    monkeypatch.setattr(followers, "_become_owner", become)
    before = sorted(path.name for path in state.iterdir())
    if as_another:
        os.seteuid(65533)
    try:
        # What it answers says nothing here: that user reaches no folder of a test.
        followers._ask(str(state), lambda text: None)
    finally:
        os.seteuid(0)
    assert os.pread(witness, 100, 0) == b"65534 65534 []"
    os.close(witness)
    assert sorted(path.name for path in state.iterdir()) == before


def test_a_daemon_that_has_it_open_is_read_beside(state: Path, log: Path) -> None:
    """What it committed last counts, though it is still in the write-ahead log."""
    check = Follower(state, log)
    log.write_text("line\n")
    check.look(log.stat().st_ctime)
    rotated = log.rename(log.with_name("app.log.1"))
    assert Asked(state, rotated).answer
    program = (
        "import sqlite3, sys\n"
        f"db = sqlite3.connect({str(state / 'agent.db')!r})\n"
        "db.execute('DELETE FROM checks')\n"
        "db.execute('INSERT INTO checks VALUES (?, ?, ?, ?)', ('other', b'', bytes.fromhex(sys.argv[1]), 'boot'))\n"
        "db.commit()\nprint('ready', flush=True)\nsys.stdin.read()\n"
    )
    with closing(sqlite3.connect(state / "agent.db")) as connection:
        (memory,) = connection.execute("SELECT memory FROM checks").fetchone()
    unknowing = msgspec.msgpack.decode(memory)
    unknowing["previous"]["places"][2] = []
    words = [sys.executable, "-c", program, msgspec.msgpack.encode(unknowing).hex()]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdin is not None
        assert daemon.stdout.readline() == "ready\n"
        assert (state / "agent.db-wal").stat().st_size > 0
        assert not Asked(state, rotated).answer
        daemon.stdin.close()


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/var/log/app.log", "/var/log/app.log.1", True),
        ("/var/log/app.log", "/var/log/app.log-20260131", True),
        ("/var/log/app.log", "/var/log/other.log.1", False),
        ("/var/log/app.log", "/srv/log/app.log.1", False),
        ("/srv/*/log/*.log", "/srv/a/log/x.log.1", True),
        ("/srv/*/log/*.log", "/srv/a/b/log/x.log.1", False),
        ("/srv/*/log/*.log", "/srv/.a/log/x.log.1", False),
    ],
)
def test_a_check_follows_what_its_patterns_mean(pattern: str, path: str, expected: bool) -> None:
    """With rotated pieces, and as a shell reads patterns."""
    assert follows(pattern, path) is expected


@settings(max_examples=50)
@given(st.integers(0, 3 * TAIL), st.integers(0, 3 * TAIL), st.booleans())
def test_unread_is_what_has_an_end_of_a_line_behind_the_place(size: int, offset: int, ends: bool) -> None:
    """Or is too long to be one line."""
    offset = min(size, offset)
    file = File("/log/a.1", 1, 2, size, NOW)
    check = Followed("a", [], NOW, {(1, 2): offset})
    rest = b"x" * (size - offset - 1) + (b"\n" if ends else b"x") if size > offset else b""
    found = unread([check], file, lambda _: rest[:TAIL])
    assert found == (["a"] if size - offset > TAIL or (ends and size > offset) else [])
