"""What the tests of making snapshots share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.backup.archive.ground import Ground
from tests.peers import every_restic

VERSIONS = ["debian", "newest"]


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """An empty repository."""
    return Ground(tmp_path / "repository")


@pytest.fixture(params=VERSIONS)
def program(request: pytest.FixtureRequest) -> Path:
    """Each version of restic."""
    return dict(zip(VERSIONS, every_restic(), strict=True))[request.param]
