"""Two ends, and books on both of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.state import State
from tests.agent.daemon.daemons import Agent, agent_in
from tests.agent.daemon.homes import Home, enrol, home_in
from tests.faults import books


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home that runs."""
    with home_in(tmp_path / "home") as home:
        home.start()
        books.witness_home(home.folder)
        yield home


@pytest.fixture
def agent(tmp_path: Path, home: Home) -> Iterator[Agent]:
    """An agent that home knows, and that was never started."""
    with agent_in(tmp_path) as agent:
        agent.state.mkdir(mode=0o700)
        State.open(agent.state).close()
        enrol(agent, home)
        books.witness_agent(agent.state)
        yield agent
