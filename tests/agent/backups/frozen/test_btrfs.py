"""Subvolumes of a real btrfs in a file, and jobs that read them frozen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.agent.backups.frozen.scenario import left
from tests.agent.cli.backup.repos import PASSWORD, Place, run
from tests.require import require, require_program, require_root


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with a subvolume in a folder. It is in memory: each of its commits would wait for a
    disk, and that for whatever else is written there."""
    require_root()
    require("btrfs" in Path("/proc/filesystems").read_text(), "a kernel with btrfs")
    for program in ("mkfs.btrfs", "btrfs"):
        require_program(program)
    point = tmp_path / "volume"
    with in_memory(tmp_path / "memory") as memory, ExitStack() as stack:
        with open(memory / "image", "wb") as file:
            os.truncate(file.fileno(), 128 * 2**20)
        subprocess.run(["mkfs.btrfs", "-q", "-m", "single", memory / "image"], check=True, capture_output=True)
        stack.enter_context(mounted(point, "-o", "loop", memory / "image"))
        (point / "mail").mkdir()
        subprocess.run(["btrfs", "-q", "subvolume", "create", point / "mail" / "inner"], check=True)
        yield point


@contextmanager
def mounted(point: Path, *words: object) -> Iterator[Path]:
    """A file system in a new folder."""
    point.mkdir()
    subprocess.run(["mount", *map(str, words), point], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", point], check=True)


def in_memory(point: Path) -> AbstractContextManager[Path]:
    """A file system that is gone with its mount. As each snapshot of a btrfs does, it takes a free device number."""
    return mounted(point, "-t", "tmpfs", "-o", "size=192m", "tmpfs")


@pytest.fixture
def place(tmp_path: Path, volume: Path) -> Place:
    """A repository on the very volume that is frozen, and the job that saves the rest of it."""
    found = Place.make(volume / "repository")
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "password").chmod(0o600)
    (tmp_path / "agent.toml").write_text(
        f"""
[backups.mail]
repository = "{found.folder}"
password_file = "{tmp_path}/password"
paths = ["{volume}", "{tmp_path}/agent.toml"]
exclude = ["{volume}/repository"]
snapshot = "auto"
"""
    )
    return found


def saved(place: Place, tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A run of the job, in a process of its own: its mounts are its own for good."""
    words = ("--config", str(tmp_path / "agent.toml"), "--state-dir", str(tmp_path / "state"), *words)
    return run(["backup", "run", "mail", *words], place.environment(XDG_CACHE_HOME=str(tmp_path / "cache")))


def test_a_subvolume_is_read_as_of_one_moment(volume: Path) -> None:
    """What is written while the view is open is not in it, and is there afterwards; a killed run's snapshot goes with
    the next run."""
    words = [sys.executable, "-m", "tests.agent.backups.frozen.scenario", str(volume)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.removeprefix("SEEN "))
    assert found["in the view"] == ["before", False] and found["outside"] == ["after", True]
    assert found["same inode"] and found["read-only"] and found["kind"] == ["btrfs", "btrfs"]
    assert found["left before"] == 1 and found["afterwards"] == [] and found["told"] == []


def test_files_that_are_written_together_are_saved_together(volume: Path, place: Place, tmp_path: Path) -> None:
    """Of a writer that always changes one file and then another both are of one moment in the snapshot, under their
    own paths, also in a subvolume below; a second run finds all others as they were, though its snapshots have other
    device numbers."""
    first, second = volume / "mail" / "first", volume / "mail" / "z-last"
    first.write_text("0")
    second.write_text("0")
    (volume / "mail" / "inner" / "letter").write_text("dear")
    for number in range(300):
        (volume / "mail" / f"m{number}").write_bytes(os.urandom(2000))
    end = threading.Event()

    def write() -> None:
        for number in range(1, 10**9):
            if end.is_set():
                return
            for file in (first, second):
                new = file.with_suffix(".new")
                new.write_text(str(number))
                new.rename(file)
            end.wait(0.005)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = saved(place, tmp_path)
    finally:
        end.set()
        writer.join()
    assert done.returncode == 0, done.stderr
    one, other = (int(place.hostward("dump", "latest", file)) for file in (first, second))
    assert one - other in (0, 1) and one < int(first.read_text())
    assert place.hostward("dump", "latest", volume / "mail" / "inner" / "letter") == "dear"
    assert not [line for line in place.hostward("ls", "latest").splitlines() if "/.hostward-" in line]
    assert left(volume) == []

    with in_memory(tmp_path / "one"), in_memory(tmp_path / "two"), in_memory(tmp_path / "three"):
        done = saved(place, tmp_path, "--json")
    (summary,) = [line for line in map(json.loads, done.stdout.splitlines()) if line["message_type"] == "summary"]
    found = {name: summary[f"files_{name}"] for name in ("new", "changed", "unmodified")}
    assert found["new"] == 0 and found["changed"] <= 2 and found["unmodified"] >= 302, summary


def test_a_path_that_must_be_frozen_and_cannot_is_refused(volume: Path, place: Place, tmp_path: Path) -> None:
    """A job that asks for one system saves nothing where a path is on another; `auto` reads it as it is, and says
    so."""
    config = tmp_path / "agent.toml"
    config.write_text(config.read_text().replace('"auto"', '"lvm"'))
    done = saved(place, tmp_path)
    assert done.returncode == 1 and "is not what lvm makes snapshots of; nothing is saved" in done.stderr
    assert place.json("snapshots") == []

    config.write_text(config.read_text().replace('"lvm"', '"auto"'))
    done = saved(place, tmp_path)
    assert done.returncode == 0 and "has no snapshots: it is read as it is" in done.stderr
