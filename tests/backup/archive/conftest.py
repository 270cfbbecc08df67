"""What the tests of making snapshots share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backup.archive.ground import Ground
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


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders with files, saved by a relative name, so that what is above them has no part in the tree."""
    monkeypatch.chdir(tmp_path)
    for folder in ("a/b/c", "a/d", "e", "e/f/g/h"):
        (tmp_path / "top" / folder).mkdir(parents=True, exist_ok=True)
        for name in range(3):
            (tmp_path / "top" / folder / str(name)).write_text(folder + str(name))
    return tmp_path / "top"
