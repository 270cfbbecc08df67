"""The agent and a real home: enrolled while it runs, cut off, and reached again."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.state import State
from tests.agent.daemon.daemons import QUIET, Agent, agent_in, wait_for
from tests.agent.daemon.homes import Home, acknowledged, enrol, home_in


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home of this test's own, running."""
    with home_in(tmp_path / "home") as home:
        home.start()
        yield home


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """An agent of this test's own, that reports each second."""
    with agent_in(tmp_path) as agent:
        agent.config.write_text(QUIET + '[home]\ninterval = "1s"\n[checks.memory]\nevery = "1s"\n')
        yield agent


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
