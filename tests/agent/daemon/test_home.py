"""The agent and a real home: enrolled while it runs, cut off, and reached again."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.state import State
from tests.agent.daemon.daemons import QUIET, Agent, agent_in, wait_for

COLLECTOR = Path(sys.executable).parent / "hostward-collector"


class Home:
    """A collector that can be stopped and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.call("init")

    def call(self, *words: str) -> str:
        done = subprocess.run(
            [str(COLLECTOR), *words, "--data-dir", str(self.folder)], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        words = ["serve", "--data-dir", str(self.folder), "--host", "127.0.0.1", "--port", str(self.port)]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen([str(COLLECTOR), *words], stdout=log, stderr=log)
        wait_for(self.answers)

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home of this test's own, running."""
    home = Home(tmp_path / "home")
    home.start()
    yield home
    home.stop()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """An agent of this test's own, that reports each second."""
    with agent_in(tmp_path) as agent:
        agent.config.write_text(QUIET + '[home]\ninterval = "1s"\n[checks.memory]\nevery = "1s"\n')
        yield agent


def enrol(agent: Agent, home: Home) -> None:
    token = agent.state.parent / "token"
    token.write_text(home.call("token", "create"))
    done = agent.call(
        *("enroll", "--collector", f"https://127.0.0.1:{home.port}", "--ca", str(home.folder / "ca.pem")),
        *("--token-file", str(token)),
    )
    assert done.returncode == 0, done.stderr


def acknowledged(agent: Agent) -> float:
    """When home last took a report; 0 for never."""
    known = agent.status()["home"]
    return (known and known["last_acknowledged"]) or 0.0


def test_an_enrolment_is_noticed_and_an_absence_survived(agent: Agent, home: Home) -> None:
    """Reports begin without a restart; while home is away they wait, and then all of them arrive."""
    agent.start()
    assert agent.status()["home"] is None
    enrol(agent, home)
    wait_for(lambda: acknowledged(agent) > 0)
    home.stop()
    wait_for(lambda: agent.status()["home"]["waiting"]["reports"] >= 3)
    assert agent.status()["home"]["error"]
    home.start()
    wait_for(lambda: agent.status()["home"]["waiting"]["reports"] == 0)
    assert agent.status()["home"]["error"] is None
    assert agent.status()["gaps"] == []


def test_the_numbers_of_reports_go_on_after_a_kill(agent: Agent, home: Home) -> None:
    """Nothing is sent under a number that home has already taken for another report."""
    agent.state.mkdir(mode=0o700)
    enrol(agent, home)
    sequences = []
    for _ in range(2):
        agent.start()
        before = acknowledged(agent)
        wait_for(lambda before=before: acknowledged(agent) > before)  # type: ignore[misc]
        assert agent.process is not None
        agent.process.kill()
        agent.process.wait()
        state = State.read(agent.state)
        rows = state.connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'spool'").fetchone()
        sequences.append(rows[0])
        state.close()
    assert 0 < sequences[0] < sequences[1]


def test_the_last_word_gets_home(agent: Agent, home: Home) -> None:
    """An agent that ends in good order has nothing left to say when home is there."""
    agent.state.mkdir(mode=0o700)
    enrol(agent, home)
    agent.start()
    wait_for(lambda: acknowledged(agent) > 0)
    assert agent.end() == 0
    status = agent.status()
    assert status["home"]["waiting"]["reports"] == 0
    state = State.read(agent.state)
    assert state.outbox(10) == []
    state.close()


def test_a_home_that_never_answers_does_not_delay_the_end(agent: Agent, home: Home) -> None:
    """A delivery that hangs is left behind: what it would have delivered waits in the spool."""
    agent.state.mkdir(mode=0o700)
    enrol(agent, home)
    home.stop()
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        silent.bind(("127.0.0.1", home.port))
        silent.listen()
        agent.start()
        wait_for(lambda: (agent.status()["home"] or {"waiting": {"reports": 0}})["waiting"]["reports"] > 0)
        assert agent.process is not None
        agent.process.terminate()
        assert agent.process.wait(10) == 0
    assert agent.status()["home"]["waiting"]["reports"] > 0
