"""The list of packages that the daemon keeps, made by real processes."""

from __future__ import annotations

import selectors
from pathlib import Path

import pytest

from agent.checks.packages import UpdatesMemory
from agent.daemon.ledger import Ledger
from agent.daemon.package_lists import JOB, TRIES, PackageLists
from agent.jobs.supervisor import Jobs
from agent.packages import kept
from agent.paths import System
from agent.state import State
from tests.agent.checks.tree import tree
from tests.agent.daemon.daemons import wait_for
from tests.agent.packages.support import saw
from tests.agent.packages.test_parse import STATUS


class World:
    """A daemon's parts, on a tree with dpkg's book."""

    def __init__(self, folder: Path) -> None:
        tree(folder / "root", {"var/lib/dpkg/status": STATUS})
        self.book = folder / "root/var/lib/dpkg/status"
        self.system = System(folder / "root")
        self.state = State.open(folder / "state")
        self.jobs = Jobs(selectors.DefaultSelector())
        self.begin()

    def begin(self) -> None:
        """As a daemon that starts."""
        self.ledger = Ledger(self.state, "boot")
        self.lists = PackageLists(self.jobs, self.ledger, self.state, self.system)

    def look(self) -> bool:
        """Look, and wait for what that began; whether it began anything."""
        self.lists.look()
        began = JOB in self.jobs.running

        def ended() -> bool:
            self.jobs.wait(0.05)
            return JOB not in self.jobs.running

        wait_for(ended)
        self.ledger.flush(1.0)
        return began

    def pending(self) -> list[str] | None:
        """What the kept list says waits."""
        found = kept.packages(self.state)
        assert found is not None
        return None if found.pending is None else [each.name for each in found.pending]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """At a first start."""
    return World(tmp_path)


def test_the_list_is_made_when_the_books_or_the_check_of_updates_say_something_new(world: World) -> None:
    """And not otherwise, nor by a daemon that starts again."""
    assert world.look()
    first = kept.digest(world.state)
    assert (world.pending(), world.look()) == (None, False)
    saw(world.state, UpdatesMemory(pending={"kept": ("2:1", 5.0)}))
    world.begin()
    assert world.look()
    assert world.pending() == ["kept"]
    assert kept.digest(world.state) != first
    world.begin()
    assert not world.look()
    world.lists.begin_anew()
    assert world.look()


def test_a_list_that_cannot_be_made_is_tried_a_few_times_and_the_one_before_stays(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Until the books change again: then it is made."""
    world.look()
    before = kept.packages(world.state)
    world.book.unlink()
    world.book.parent.joinpath("x").write_text("x")
    rpm = world.system.path("var/lib/rpm/rpmdb.sqlite")
    rpm.parent.mkdir(parents=True)
    rpm.write_text("no database")
    assert [world.look() for _ in range(TRIES + 1)] == [True] * TRIES + [False]
    assert "what is installed cannot be told: rpm" in caplog.text
    assert kept.packages(world.state) == before
    world.book.write_text(STATUS + "\n")
    assert world.look()


def test_a_host_without_books_has_no_list(tmp_path: Path) -> None:
    """Nothing is started for it."""
    world = World(tmp_path)
    world.book.unlink()
    assert not world.look()
    assert kept.packages(world.state) is None
