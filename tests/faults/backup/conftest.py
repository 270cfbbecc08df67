"""Repositories to try faults on, and a process whose children meet them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.backup.dispatch import BACKUP
from tests.faults.backup.ground import Ground
from tests.faults.backup.trial import Trials
from tests.faults.zygote import zygote
from tests.peers import newest_restic, restic_of_debian

MODULES = {
    "tests.faults.backup.lives",
    "backup.archive.backup",
    *(place.partition(":")[0] for place, _ in BACKUP.commands.values()),
}
"""What children need, so that they need not load it each."""


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    """A folder in memory: what is tried is the order of writes, and there are thousands of waits for a disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="hostward-test-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def ground(memory: Path) -> Ground:
    """Not to be changed."""
    newest_restic(), restic_of_debian()
    return Ground.make(memory)


@pytest.fixture(scope="session")
def trials(ground: Ground, memory: Path) -> Iterator[Trials]:
    """To run operations in."""
    with zygote(*MODULES) as process:
        yield Trials(ground, process, memory)
