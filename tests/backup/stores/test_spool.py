"""Files that are written before they are saved, and who removes what is left of them."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from backup.stores.spool import ABANDONED, PREFIX, clean_spool, open_spool


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def left(path: Path) -> Path:
    """What a process that was killed long ago left there."""
    path.write_bytes(b"x")
    os.utime(path, (0, time.time() - 2 * ABANDONED))
    return path


def opened() -> Path:
    file, path = open_spool(None)
    file.close()
    return path


def test_what_a_dead_process_left_among_temporary_files_is_removed(temporary: Path) -> None:
    """By the first file of a later process: remote places have no folder of their own for them."""
    left(temporary / f"{PREFIX}dead")
    young, other = temporary / f"{PREFIX}young", left(temporary / "spool-x")
    young.write_bytes(b"x")
    path = opened()
    assert set(temporary.iterdir()) == {path, young, other}
    assert path.name.startswith("hostward-spool-")


def test_links_among_temporary_files_are_not_followed(temporary: Path) -> None:
    """Everybody may put one there."""
    victim = left(temporary.parent / "victim")
    (temporary / f"{PREFIX}link").symlink_to(victim)
    opened()
    assert victim.exists()


def test_temporary_files_of_others_stay(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where root could remove them."""
    theirs = left(temporary / f"{PREFIX}theirs")
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    opened()
    assert theirs.exists()


def test_temporary_files_of_the_living_stay(temporary: Path) -> None:
    """However long ago they wrote."""
    file, path = open_spool(temporary)
    with file:
        os.utime(path, (0, 0))
        clean_spool(temporary, shared=True)
        assert path.exists()
    clean_spool(temporary, shared=True)
    assert not path.exists()
