"""A host for the deploys of every day."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.deploys.support import deploy, inventory
from tests.fleet import layers
from tests.fleet.fleet import Fleet
from tests.fleet.host import Host

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="session")
def served(fleet: Fleet, repository: Path) -> Iterator[Host]:
    """A host with the agent, and with services of its own: nginx, PostgreSQL, rsyslog, logrotate.

    All tests share it: each leaves what the others do not stumble over, and relies on nothing that it did not do.
    """
    with fleet.hosts(1, layers.layers(repository, layers.SERVERS)) as [host]:
        yield host


@pytest.fixture
def on_served(served: Host, tmp_path: Path) -> Run:
    """Run a deploy there: its name, its table of host data, and words for pyinfra."""

    def run(name: str, table: dict[str, Any], *words: str, check: bool = True) -> CompletedProcess[str]:
        path = inventory(tmp_path / "inventory.py", [served], data={name: table})
        return deploy(path, name, *words, check=check)

    return run
