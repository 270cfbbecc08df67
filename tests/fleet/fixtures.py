"""Fixtures for every test that needs real hosts. What a machine cannot do is named, as in tests/require.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fleet.command import UnavailableError
from tests.fleet.fleet import Fleet
from tests.fleet.fleet import fleet as make_fleet
from tests.fleet.host import Host
from tests.require import require, require_program, require_root

BUILDING = 900
"""Seconds for a test that may be the one which builds the hosts' file system, or waits for who does."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests on hosts the time that making hosts takes."""
    for item in items:
        if "fleet" in getattr(item, "fixturenames", ()) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(BUILDING))


@pytest.fixture(scope="session")
def fleet(repository: Path) -> Iterator[Fleet]:
    """A bridge to start hosts on. Each worker has its own; what hosts are made from is shared."""
    require_root()
    for program in ("mmdebstrap", "systemd-nspawn", "ip", "ssh", "ssh-keygen"):
        require_program(program)
    with ExitStack() as stack:
        try:
            made = stack.enter_context(make_fleet(repository))
        except UnavailableError as error:
            require(False, f"what real hosts are made of: {error}")
        yield made


@pytest.fixture
def host(fleet: Fleet) -> Iterator[Host]:
    """A host as it was made, for one test."""
    with fleet.hosts(1) as [one]:
        yield one


@pytest.fixture
def hosts(fleet: Fleet) -> Iterator[list[Host]]:
    """Three hosts as they were made, for one test."""
    with fleet.hosts() as three:
        yield three
