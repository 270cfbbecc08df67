"""A home that keeps repositories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.backups.settings import BackupOptions
from collector.store.place import Place
from kit.units import Size
from tests.collector import support
from tests.collector.backups.support import Guest, guest


@pytest.fixture
def keeper(tmp_path: Path, db_place: Place) -> Iterator[support.Home]:
    """One in this process, in a folder."""
    with support.home(tmp_path, BackupOptions(keep_free=Size(0)), place=db_place) as made:
        yield made


@pytest.fixture
def web1(keeper: support.Home) -> Guest:
    """A host with an empty repository."""
    made = guest(keeper)
    made.create()
    return made
