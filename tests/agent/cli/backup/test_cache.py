"""Caches that this host keeps: listed, told from what is in use, removed when nobody used them for long."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.agent.cli.backup.repos import Place, call

OLD = "ab" * 32
DAY = 86400


@pytest.fixture
def caches(place: Place, tmp_path: Path) -> Path:
    """The folder of caches, with one in use, one that is old, and what is none."""
    (tmp_path / "file").write_text("x")
    place.hostward("run", tmp_path / "file", "--cache-dir", tmp_path)
    folder = tmp_path / "hostward-backup"
    (folder / OLD / "index").mkdir(parents=True)
    (folder / OLD / "index" / "one").write_bytes(bytes(2048))
    os.utime(folder / OLD, (time.time() - 40.5 * DAY,) * 2)
    (folder / "other").mkdir()
    os.utime(folder / "other", (0, 0))
    (folder / ("cd" * 32)).symlink_to(tmp_path)
    return folder


def test_caches_are_listed(caches: Path, place: Place) -> None:
    """With their age and size, last used first; nothing else in the folder counts."""
    words = ["cache", "--cache-dir", caches.parent]
    first, second = place.json(*words)
    assert (first["id"], first["days"], first["old"]) == (place.opened().config.id, 0, False)
    assert second == {"id": OLD, "days": 40, "old": True, "size": 2048}
    assert [each["old"] for each in place.json(*words, "--max-age", 60)] == [False, False]
    lines = place.hostward(*words).splitlines()
    assert lines[2].split() == [OLD[:10], "40", "days", "old", "2KiB"]
    assert lines[-1] == f"2 caches in {caches}"
    assert "KiB" not in place.hostward(*words, "--no-size")


def test_old_caches_are_removed(caches: Path, place: Place) -> None:
    """By the command, which needs no repository, and by --cleanup-cache of any other; what is no cache stays."""
    words = ["backup", "cache", "--cleanup", "--cache-dir", str(caches.parent)]
    assert call([*words, "--max-age", "60"], {}).stdout == "removed 0 old caches\n"
    assert call(words, {}).stdout == "removed 1 old cache\n"
    there = {"CACHEDIR.TAG", place.opened().config.id, "cd" * 32, "other"}
    assert {path.name for path in caches.iterdir()} == there
    (caches / OLD).mkdir()
    os.utime(caches / OLD, (0, 0))
    place.hostward("snapshots", "--cache-dir", caches.parent)
    assert (caches / OLD).exists()
    place.hostward("snapshots", "--cleanup-cache", "--cache-dir", caches.parent)
    assert {path.name for path in caches.iterdir()} == there


def test_a_folder_without_caches_is_no_error(tmp_path: Path) -> None:
    """Nor is one that is not there; but --no-cache is a contradiction."""
    said = call(["backup", "cache", "--cache-dir", str(tmp_path / "none")], {})
    assert (said.returncode, said.stdout) == (0, f"0 caches in {tmp_path}/none/hostward-backup\n")
    assert call(["backup", "cache", "--no-cache"], {}).returncode == 2
    (tmp_path / "hostward-backup").touch()
    said = call(["backup", "cache", "--cache-dir", str(tmp_path)], {})
    assert (said.returncode, said.stdout) == (2, "")
    assert f"{tmp_path}/hostward-backup is not used: caches are kept in a folder that belongs to you" in said.stderr
