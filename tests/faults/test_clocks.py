"""Clocks that jump, and hosts that sleep."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.daemon.daemons import QUIET, Agent, wait_for
from tests.agent.daemon.homes import Home
from tests.agent.daemon.test_timed import World, nightly
from tests.faults import books
from tests.require import require

LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


@pytest.fixture
def clock(tmp_path: Path, agent: Agent) -> Iterator[Path]:
    """A file that says by how many seconds the agent's wall clock is wrong; no other clock of it is."""
    require(LIBRARY is not None, "libfaketime (make test installs it when run as root on Debian)")
    file = tmp_path / "clock"
    file.write_text("+0s")
    settings = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
        "NO_FAKE_STAT": "1",
    }
    agent.within = [*agent.within, "env", *(f"{name}={value}" for name, value in settings.items())]
    yield file


def test_a_clock_that_jumps_an_hour_and_back(agent: Agent, home: Home, clock: Path) -> None:
    """Checks go on at their intervals and reports go home, signed by home's clock, all through both jumps."""
    agent.config.write_text(QUIET + '[home]\ninterval = "1s"\n[checks.memory]\nevery = "1s"\n')
    agent.start()

    def wait_for_more() -> None:
        before = books.stored(home.folder).readings.total()
        wait_for(lambda: books.stored(home.folder).readings.total() > before + 4)

    for jump, said in (("+3600s", "forward by 3600 s"), ("+0s", "back by 3600 s"), ("-3600s", "back by 3600 s")):
        wait_for_more()
        heard = agent.said().count(said)
        clock.write_text(jump)
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
