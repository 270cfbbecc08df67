"""kill -9 of either side, at every commit that it makes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.daemon.daemons import Agent, wait_for
from tests.agent.daemon.homes import Home
from tests.faults import books
from tests.faults.lives import Life
from tests.faults.zygote import Zygote, zygote

DIED = -signal.SIGKILL


@pytest.fixture
def parent() -> Iterator[Zygote]:
    """What the short lives are forked from."""
    with zygote("tests.faults.lives", "collector.cli.serve") as parent:
        yield parent


@pytest.mark.timeout(300)  # dozens of starts
def test_an_agent_that_is_killed_at_any_commit_loses_and_repeats_nothing(
    agent: Agent, home: Home, parent: Zygote
) -> None:
    """Before it and after it, in the loop's thread and in the sender's; each time the books balance after the next
    start."""
    deaths = 0
    while (code := parent.call("tests.faults.lives:agent", str(agent.state), deaths + 1)) == DIED:
        deaths += 1
        assert parent.call("tests.faults.lives:agent", str(agent.state), 0) == 0
        assert books.undelivered(agent.state) == 0
        books.assert_balanced(agent.state, home.folder)
    assert code == 0
    assert deaths >= 2 * 12, "there are that many transactions in its life"
    lost = books.lost(home.folder)
    assert lost["readings"] and lost["events"], "the small spool had no room for them: each is counted once"


@pytest.mark.timeout(300)  # dozens of starts
def test_a_home_that_is_killed_at_any_commit_loses_and_repeats_nothing(
    agent: Agent, home: Home, parent: Zygote
) -> None:
    """Also after it has committed a report and before it has said so."""
    home.stop()
    life = Life(agent.state)
    life.sender.start()
    deaths = 0
    while True:
        pid = parent.begin("tests.faults.lives:home", str(home.folder), home.port, deaths + 1)
        for _ in range(2):
            life.turn()
            life.compose()
        wait_for(lambda pid=pid: not life.spool.waiting().reports or _has_ended(pid))  # type: ignore[misc]
        if not _has_ended(pid):
            os.kill(pid, signal.SIGTERM)
        if (code := parent.end(pid)) == 0:
            break
        assert code == DIED
        deaths += 1
        books.assert_nothing_twice(agent.state, home.folder)  # the next start takes what this one left
    home.start()
    life.deliver()
    assert life.sender.stop(60)
    life.state.close()
    assert deaths >= 2 * 2, "each report is a transaction"
    books.assert_balanced(agent.state, home.folder)
    assert books.lost(home.folder).total() == 0


def _has_ended(pid: int) -> bool:
    """Also one that nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
