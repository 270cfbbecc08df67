"""Repositories that home keeps."""

from __future__ import annotations

import pytest

from collector.backups.keeping import keeper
from tests.collector.backups.keeping.yard import here


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work on a repository is done in this process, in a twentieth of the time."""
    monkeypatch.setattr(keeper, "ask", here)
    monkeypatch.setattr(keeper, "LOCK_WAIT", 0.0)
