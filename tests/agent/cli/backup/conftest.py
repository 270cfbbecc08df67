"""A repository for all tests that only read, and one for each that writes."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from tests.agent.cli.backup.repos import Place
from tests.peers import newest_restic


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bit of everything."""
    top = tmp_path_factory.mktemp("files") / "top"
    (top / "etc" / "inner").mkdir(parents=True)
    (top / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    (top / "etc" / "hosts").chmod(0o640)
    (top / "etc" / "empty").touch()
    (top / "etc" / "inner" / "run").write_bytes(b"#!/bin/sh\n" * 1000)
    (top / "etc" / "inner" / "run").chmod(0o4755)
    (top / "etc" / "link").symlink_to("hosts")
    os.mkfifo(top / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(top / "socket"))
    (top / "big").write_bytes(os.urandom(3_000_000))
    (top / "tmp").mkdir()
    (top / "tmp").chmod(0o1777 | stat.S_ISGID)
    (top / os.fsdecode(b'odd \xff "name"\n')).write_text("odd")
    (top / "<&>\N{SNOWMAN}").touch()
    return top


@pytest.fixture(scope="session")
def filled(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A repository with three snapshots of restic's. Not to be changed."""
    place = Place.make(tmp_path_factory.mktemp("filled") / "repository", newest_restic())
    place.peer("backup", "--tag", "one,two", "--host", "web1", "--time", "2026-01-02 03:04:05", files)
    (files / "etc" / "later").write_text("later\n")
    place.peer("backup", "--host", "web1", "--time", "2026-02-03 04:05:06", files)
    place.peer(
        "backup", "--host", "db1", "--tag", "other", "--exclude", "big", "--time", "2026-03-04 05:06:07", files
    )
    return place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty repository."""
    return Place.make(tmp_path / "repository")
