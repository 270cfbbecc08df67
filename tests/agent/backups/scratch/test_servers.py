"""Scratch servers where something is wrong; what they do with good dumps is tested with the sources."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agent.backups.scratch import registry
from agent.backups.scratch.contract import ScratchError
from tests.require import require_program


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty one with a short path, which the server's user can reach."""
    with tempfile.TemporaryDirectory(prefix="hw-", dir="/tmp") as name:
        yield Path(name)


def load(kind: str, folder: Path, path: str, dump: bytes) -> None:
    """Try a dump."""
    with registry.opened(kind, folder, patience=60) as server, tempfile.TemporaryFile() as file:
        file.write(dump)
        file.seek(0)
        server.load(path, file.fileno())


@pytest.mark.parametrize(
    ("kind", "program", "path", "said"),
    [
        ("postgresql", "pg_dump", "/postgresql/shop.dump", "pg_restore failed"),
        ("redis", "redis-server", "/redis/dump.rdb", "redis-server ended as soon as it was started"),
        ("sqlite", "sh", "/sqlite/srv/shop.db", "file is not a database"),
    ],
)
def test_a_dump_that_is_none_is_refused_and_nothing_is_left(
    folder: Path, kind: str, program: str, path: str, said: str
) -> None:
    """With the server's own reason; no process and no file of it is there afterwards."""
    require_program(program)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with pytest.raises(ScratchError, match=said):
        load(kind, folder, path, b"this is no dump of anything, but long enough to be one " * 100)
    assert list(folder.iterdir()) == []
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


def test_a_host_without_the_server_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that only saves dumps may be."""
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("agent.backups.scratch.postgresql._PLACES", ())
    monkeypatch.setattr("agent.backups.scratch.mysql._SERVERS", ("mariadbd", "mysqld"))
    for kind in ("postgresql", "mysql", "mariadb", "redis"):
        with (
            pytest.raises(ScratchError, match=r"there is no .* server on this host"),
            registry.opened(kind, folder, patience=1),
        ):
            pass


def test_a_folder_whose_path_is_too_long_is_refused(tmp_path: Path) -> None:
    """Before a server fails to make its socket there."""
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    with pytest.raises(ScratchError, match="at most 90 bytes"), registry.opened("sqlite", folder, patience=1):
        pass
