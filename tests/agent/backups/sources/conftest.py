"""What the tests of sources share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.backups.sources.saver import Saver
from tests.backup.archive.ground import Ground


@pytest.fixture
def saver(tmp_path: Path) -> Saver:
    """A new repository."""
    state = tmp_path / "state"
    state.mkdir()
    return Saver(Ground(tmp_path / "repository"), state)
