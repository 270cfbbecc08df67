"""Homes to test with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector import support


@pytest.fixture
def home(tmp_path: Path) -> Iterator[support.Home]:
    """A home in this process."""
    with support.home(tmp_path) as made:
        yield made


@pytest.fixture
def host(home: support.Home) -> support.Host:
    """A host that is enrolled there as web1, with a clock that is right."""
    made = support.Host(home.client, home.clock)
    assert made.enroll(home.token()).status_code == 200
    return made


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """What `init` makes."""
    folder = tmp_path / "home"
    done = support.run("init", "--data-dir", str(folder))
    assert done.returncode == 0, done.stderr
    return folder
