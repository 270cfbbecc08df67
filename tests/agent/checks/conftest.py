"""What the tests of checks share."""

from __future__ import annotations

import psutil
import pytest


@pytest.fixture(autouse=True)
def real_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check points psutil at its host's /proc: not beyond the test."""
    monkeypatch.setattr(psutil, "PROCFS_PATH", "/proc")
