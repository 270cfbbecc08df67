"""Folders of logs to try faults on, and a process whose children meet them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.tmpfs import small_disk
from tests.faults.logs.ground import WAYS
from tests.faults.logs.trial import Trials
from tests.faults.zygote import zygote
from tests.require import require_root

MODULES = (
    "tests.faults.logs.lives",
    "agent.cli.logrotate",
    "agent.logs.rotate.carry",
    "agent.logs.rotate.journal",
    "agent.logs.rotate.language.users",
    *(f"agent.logs.rotate.apply.{name}" for name in ("compress", "codecs", "mail", "scripts", "shred")),
    "json",
)
"""What children need, so that they need not load it each."""


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    """A folder in memory: what is tried is the order of changes, and there are thousands of waits for a disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="hostward-test-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def trials(memory: Path) -> Iterator[Trials]:
    """To rotate logs in."""
    require_root()
    (memory / "near").mkdir()
    with small_disk(memory / "far", size="16m") as far, zygote(*MODULES) as process:
        far.chmod(0o755)
        yield Trials(process, WAYS, memory / "near", far)
