"""No room is left, on the host or at home."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.state import State
from tests.agent.daemon.daemons import QUIET, Agent, agent_in, wait_for
from tests.agent.daemon.homes import Home, enrol, home_in
from tests.agent.tmpfs import fill, small_disk
from tests.faults import books
from tests.faults.numbers import Numbers
from tests.require import require_root

pytestmark = pytest.mark.root


@pytest.fixture
def numbers(tmp_path: Path) -> Numbers:
    """On a disk with room."""
    return Numbers(tmp_path / "numbers")


@pytest.fixture
def agent(tmp_path: Path, home: Home, numbers: Numbers) -> Iterator[Agent]:
    """An agent whose state is on a small disk of its own, and that home knows."""
    require_root()
    with agent_in(tmp_path) as agent, small_disk(agent.state, size="1M"):
        agent.state.chmod(0o700)
        State.open(agent.state).close()
        enrol(agent, home)
        agent.config.write_text(QUIET + '[home]\ninterval = "1s"\n' + numbers.configuration)
        yield agent
        if agent.process is not None and agent.process.poll() is None:
            agent.end()


def seen(home: Home) -> Counter[int]:
    """The numbers at home, and how often."""
    return Counter(
        {int(key[-1]): count for key, count in books.stored(home.folder).readings.items() if key[0] == "numbers"}  # type: ignore[call-overload]
    )


def settle(agent: Agent, home: Home, numbers: Numbers) -> None:
    """Each number is at home once, or counted as lost."""
    numbers.stop()

    def is_settled() -> bool:
        return len(seen(home)) + books.lost(home.folder)["readings"] == numbers.last

    wait_for(is_settled)
    assert max(seen(home).values()) == 1


def test_a_disk_that_fills_and_heals(agent: Agent, home: Home, numbers: Numbers) -> None:
    """What could not be kept meanwhile is counted, at home and in status; everything before and after is there."""
    agent.start()
    wait_for(lambda: len(seen(home)) >= 3)
    fill(agent.state / "ballast")
    wait_for(lambda: "no room is left" in agent.said())
    during = numbers.last
    wait_for(lambda: numbers.last > during + 3)
    assert agent.process is not None and agent.process.poll() is None
    (agent.state / "ballast").unlink()
    wait_for(lambda: "can be kept again" in agent.said())
    wait_for(lambda: books.lost(home.folder)["readings"] > 0)
    settle(agent, home, numbers)
    assert [gap["reason"] for gap in agent.status()["gaps"]] == ["disk_full"]
    assert "(disk full)" in agent.call("status").stdout


def test_a_disk_that_is_full_from_the_start(agent: Agent, home: Home, numbers: Numbers) -> None:
    """The start fails with a sentence that says why, without harm, and works once there is room."""
    fill(agent.state / "ballast")
    before = {path.name for path in agent.state.iterdir()}
    process = agent.launch()
    wait_for(lambda: process.poll() is not None or "started" in agent.said())
    if process.poll() is not None:  # SQLite may have had all the room that it needs
        assert process.returncode == 1
        assert "no room is left" in agent.said() and "Traceback" not in agent.said()
    assert before <= {path.name for path in agent.state.iterdir()}
    (agent.state / "ballast").unlink()
    if process.poll() is not None:
        agent.start()
    wait_for(lambda: len(seen(home)) >= 3)
    settle(agent, home, numbers)


def test_a_full_disk_at_home(tmp_path: Path, numbers: Numbers) -> None:
    """Home takes nothing that it cannot keep, says so, and takes all of it, once, when there is room again."""
    require_root()
    with home_in(tmp_path / "origin") as made, small_disk(tmp_path / "home", size="4M") as disk:
        shutil.copytree(made.folder, disk, dirs_exist_ok=True)
        made.folder = disk
        home = made
        home.start()
        books.witness_home(home.folder)
        with agent_in(tmp_path) as agent:
            agent.state.mkdir(mode=0o700)
            enrol(agent, home)
            agent.config.write_text(QUIET + '[home]\ninterval = "1s"\n' + numbers.configuration)
            agent.start()
            wait_for(lambda: len(seen(home)) >= 3)
            fill(disk / "ballast")
            wait_for(lambda: bool(agent.status()["home"]["error"]))
            assert home.process is not None and home.process.poll() is None
            during = numbers.last
            wait_for(lambda: numbers.last > during + 3)
            (disk / "ballast").unlink()
            wait_for(lambda: agent.status()["home"]["error"] is None, patience=90)
            settle(agent, home, numbers)
            assert books.lost(home.folder).total() == 0
            assert agent.end() == 0
        home.stop()
