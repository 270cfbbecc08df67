"""`hostward status`, from states that are put together here."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli import status
from agent.daemon import running
from agent.daemon.lock import Lock
from agent.daemon.running import Running
from agent.home import identity
from agent.state import State, StoredCheck
from tests.agent.daemon.daemons import hostward
from wire.report import CheckState, Event, Gap
from wire.report import State as CheckedState

NOW = 1_800_000_000.0


def check(name: str, state: CheckedState, message: str = "fine", *, ago: float = 5) -> StoredCheck:
    return StoredCheck(
        CheckState(name=name, kind=name, state=state, message=message, since=NOW - 7300, time=NOW - ago, interval=15),
        b"",
        "boot",
    )


@pytest.fixture
def state(tmp_path: Path) -> State:
    """The state of an agent that has run for a day."""
    state = State.open(tmp_path)
    with state.transaction():
        state.put(
            running.KEY,
            running.encode(Running(pid=7, started=NOW - 86400, version="0.1.0", configuration="/etc/agent.toml")),
        )
        state.save_check(check("cpu", "ok"))
        state.save_check(check("disk", "warning", "/var 91 % used"))
    return state


def enrol(folder: Path) -> None:
    identity.prepare_key(folder)
    identity.save(folder, collector="https://home:8443", host="h1", name="web-1", ca=b"PEM")


def told(state: State, *, alive: bool = True) -> str:
    return "\n".join(status.lines(status.gather(state, running=alive, now=NOW)))


def test_it_tells_how_the_host_stands(state: State) -> None:
    """The agent, the worst of the checks, each check with its ages, and that there is no home."""
    assert told(state).splitlines() == [
        "agent   running for 1d, version 0.1.0, process 7",
        "checks  warning: 1 warning, 1 ok",
        "home    none (hostward enroll makes this host known to a collector)",
        "",
        "CHECK  STATE    FOR  AGE  MESSAGE",
        "cpu    ok       2h   5s   fine",
        "disk   warning  2h   5s   /var 91 % used",
    ]


def test_it_says_when_no_agent_runs(state: State) -> None:
    """And how old the rest is: a state that looks fine may be a week old."""
    text = told(state, alive=False)
    assert "agent   not running on" in text
    assert "no agent is running: what follows is from 5s ago" in text


def test_it_says_when_nothing_was_kept(state: State) -> None:
    """An agent that runs and does not get on is not shown as if it did."""
    with state.transaction():
        for name in ("cpu", "disk"):
            state.save_check(check(name, "ok", ago=600))
    assert "nothing was kept for 10m" in told(state)


def test_it_tells_how_reporting_stands(state: State) -> None:
    """Where to, when last, what waits and why."""
    enrol(state.folder)
    with state.transaction():
        state.put(
            "home.status",
            json.dumps(
                {
                    "last_acknowledged": NOW - 30,
                    "error": "connection refused",
                    "error_since": NOW - 300,
                    "next_attempt": NOW + 61,
                }
            ),
        )
    assert told(state).splitlines()[2:4] == [
        "home    https://home:8443 as web-1, last report acknowledged 30s ago",
        "home    connection refused (for 5m); next attempt in 1m1s",
    ]


def test_it_tells_that_somebody_is_at_work_on_the_host(state: State) -> None:
    """For as long as the window lasts."""
    enrol(state.folder)
    for until, expected in ((NOW + 600, ["home    maintenance for another 10m: patching"]), (NOW, [])):
        with state.transaction():
            state.put("home.status", json.dumps({"window": {"until": until, "reason": "patching"}}))
        assert [line for line in told(state).splitlines() if "maintenance" in line] == expected
        found = status.gather(state, running=True, now=NOW).home
        assert found is not None
        assert (found.window is not None) == bool(expected)


def test_it_tells_what_is_wrong_with_the_identity(state: State) -> None:
    """A key that others can read is the reason that nothing is reported."""
    enrol(state.folder)
    (state.folder / "identity.key").chmod(0o644)
    assert "identity.key has mode 0644" in told(state)


def test_it_tells_what_was_lost(state: State) -> None:
    """Each gap with its counts, its span and its reason."""
    with state.transaction():
        state.add_gap(Gap(reason="disk_full", since=NOW - 60, until=NOW, readings=12, events=1))
    line = next(line for line in told(state).splitlines() if line.startswith("lost"))
    assert line.startswith("lost    12 readings, 1 events, ")
    assert line.endswith("(disk full)")


def test_what_came_from_outside_does_not_steer_the_terminal(state: State) -> None:
    """A message with escape sequences is shown without them."""
    enrol(state.folder)
    with state.transaction():
        state.save_check(check("cpu", "ok", "a\x1b[2Jb"))
        state.put("home.status", json.dumps({"error": "c\x1b[2Jd"}))
    assert "\x1b" not in told(state)


def test_json_has_the_documented_shape(state: State, repository: Path) -> None:
    """Every key is in docs/agent.md, and what is there is what `--json` prints."""
    enrol(state.folder)
    with state.transaction():
        state.add_event(Event(time=NOW, kind="agent.started", message="m"))
        state.add_gap(Gap(reason="size", since=1, until=2))
    done = hostward("status", "--json", "--state-dir", str(state.folder))
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["agent"]["running"] is False
    assert found["agent"]["pid"] is None
    assert found["state"] == "warning"
    assert found["home"]["waiting"] == {"reports": 0, "bytes": 0, "oldest": None}
    page = (repository / "docs" / "agent.md").read_text()
    for part in (found, found["agent"], found["home"], found["checks"][0], found["gaps"][0], found["events"][0]):
        for key in part:
            assert f"`{key}`" in page, key


def test_the_exit_code_says_whether_the_agent_runs(state: State) -> None:
    """0 while something holds the lock, whatever the checks say."""
    folder = str(state.folder)
    assert hostward("status", "--state-dir", folder).returncode == 1
    with Lock.take(state.folder):
        assert hostward("status", "--state-dir", folder).returncode == 0


def test_a_folder_without_a_state_is_one_sentence(tmp_path: Path) -> None:
    """With what to do."""
    done = hostward("status", "--state-dir", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == (
        f"hostward: there is no agent state in {tmp_path}: has `hostward run` been started there?\n"
    )


def test_a_damaged_state_is_one_sentence(state: State) -> None:
    """Reading sets nothing aside: that is the agent's to do."""
    path = state.folder / "agent.db"
    state.close()
    path.write_bytes(os.urandom(20000))
    done = hostward("status", "--state-dir", str(path.parent))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "is damaged" in done.stderr
    assert not list(path.parent.glob("*corrupt*"))


@given(st.floats(-1e6, 1e9))
def test_every_age_is_short(seconds: float) -> None:
    """A column of ages stays narrow, and a clock that was set back makes no negative one."""
    text = status._age(seconds)
    assert "-" not in text
    assert len(text) <= 7


def test_time_is_now(state: State) -> None:
    """The moment of the status is that of the call."""
    done = hostward("status", "--json", "--state-dir", str(state.folder))
    assert abs(json.loads(done.stdout)["time"] - time.time()) < 60
