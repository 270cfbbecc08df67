"""Clocks that jump, and hosts that sleep."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.files import write_durably
from tests.agent.daemon.daemons import QUIET, Agent, wait_for
from tests.agent.daemon.homes import Home
from tests.agent.daemon.test_timed import World, nightly
from tests.faults import books


@pytest.fixture
def clock(tmp_path: Path, agent: Agent) -> Path:
    """A file that says by how many seconds the agent's wall clock is wrong."""
    file = tmp_path / "clock"
    file.write_text("0")
    agent.program = [sys.executable, "-m", "tests.faults.shifted", str(file)]
    return file


def test_a_clock_that_jumps_an_hour_and_back(agent: Agent, home: Home, clock: Path) -> None:
    """Checks go on at their intervals and reports go home, signed by home's clock, all through both jumps."""
    agent.config.write_text(QUIET + '[home]\ninterval = "1s"\n[checks.memory]\nevery = "1s"\n')
    agent.start()

    def wait_for_more() -> None:
        before = books.stored(home.folder).readings.total()
        wait_for(lambda: books.stored(home.folder).readings.total() > before + 4)

    for jump, said in ((3600, "forward by 3600 s"), (0, "back by 3600 s"), (-3600, "back by 3600 s")):
        wait_for_more()
        heard = agent.said().count(said)
        write_durably(clock, str(jump).encode())
        wait_for(lambda heard=heard, said=said: agent.said().count(said) > heard)  # type: ignore[misc]
    wait_for_more()
    agent.config.write_text(QUIET + '[home]\ninterval = "1s"\n')
    wait_for(lambda: books.is_settled(agent.state, home.folder))
    agent.end(signal.SIGKILL)
    books.assert_balanced(agent.state, home.folder)
    assert books.lost(home.folder).total() == 0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A host in the evening."""
    world = World(tmp_path / "state", "2026-03-10 20:00")
    yield world
    world.jobs.stop(1)
    world.selector.close()
    world.state.close()


@pytest.mark.parametrize(("catch_up", "runs"), [(True, 1), (False, 0)])
def test_a_host_that_slept_over_a_job(world: World, catch_up: bool, runs: int) -> None:
    """It is caught up on once, or left out, as is wanted; and the next night it runs at its time."""
    world.configure(job=nightly(catch_up=catch_up))
    world.wall += 14 * 3600  # both clocks go on in a suspend, and the loop does not turn
    world.ticks += 14 * 3600
    world.sleep_until("2026-03-11 10:05")
    assert world.starts() == runs
    world.sleep_until("2026-03-12 03:00")
    assert world.starts() == runs + 1
