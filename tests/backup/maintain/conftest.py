"""Repositories that the real restic filled, for tests that look after them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from backup.errors import DamagedError
from backup.format.keyfile import Cost
from backup.format.node import Node
from backup.format.pack import BlobKind
from backup.maintain.walk import walk
from backup.repository.opening import open_repository
from backup.repository.repository import Repository
from backup.stores.contract import FileKind, Store
from backup.stores.local import LocalStore
from backup.stores.memory import MemoryStore
from tests.peers import newest_restic, restic_of_debian

PASSWORD = b"correct horse"
CHEAP = Cost(1024, 1, 1)
VERSIONS = ["debian", "newest"]


class Restic(NamedTuple):
    """A version of restic."""

    program: Path

    def run(self, repository: Path, *words: str, code: int = 0, environment: dict[str, str] | None = None) -> str:
        """What it prints."""
        done = subprocess.run(
            [self.program, "--no-cache", "-r", repository, *words],
            env={**os.environ, "RESTIC_PASSWORD": PASSWORD.decode(), **(environment or {})},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def json(self, repository: Path, *words: str) -> Any:
        """What it prints as one JSON value."""
        return json.loads(self.run(repository, "--json", *words))

    def lines(self, repository: Path, *words: str) -> list[dict[str, Any]]:
        """What it prints as a JSON value in each line."""
        return [json.loads(line) for line in self.run(repository, "--json", *words).splitlines()]

    def accepts(self, repository: Path) -> None:
        """Fail unless its check finds nothing wrong with all data."""
        self.run(repository, "check", "--read-data")


@pytest.fixture(scope="session")
def newest() -> Restic:
    """The newest restic."""
    return Restic(newest_restic())


@pytest.fixture(scope="session", params=VERSIONS)
def each(request: pytest.FixtureRequest) -> Restic:
    """Each version of restic."""
    return Restic(restic_of_debian() if request.param == "debian" else newest_restic())


@pytest.fixture(scope="session")
def filled(newest: Restic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with three snapshots of a folder that changes in between. Not to be changed."""
    place = tmp_path_factory.mktemp("filled")
    source = place / "source"
    (source / "deep/er/still").mkdir(parents=True)
    (source / "random").write_bytes(os.urandom(700_000))
    (source / "large").write_bytes(os.urandom(2_500_000))
    (source / "text").write_bytes(b"a line of text\n" * 40_000)
    (source / "empty").touch()
    (source / "deep/er/still/there").write_bytes(b"deep down")
    (source / "deep/twin").write_bytes(os.urandom(50_000))
    os.link(source / "deep/twin", source / "twin")
    (source / "link").symlink_to("text")
    os.mkfifo(source / "fifo")
    Path(os.fsdecode(os.fsencode(source) + b'/na\xffme "\n<')).write_bytes(b"odd")
    os.setxattr(source / "text", "user.note", b"\0\xff")
    made = place / "repository"
    Repository.create(LocalStore(made), PASSWORD, cost=CHEAP)

    def back_up(host: str) -> None:
        newest.run(made, "backup", str(source), "--host", host, "--tag", "kept")

    back_up("first")
    (source / "gone").write_bytes(os.urandom(300_000))
    (source / "text").write_bytes(b"another line of text\n" * 30_000)
    (source / "deep/er/more").write_bytes(os.urandom(90_000))
    back_up("second")
    (source / "gone").unlink()
    (source / "link").unlink()
    (source / "link").mkdir()
    (source / "link/inner").write_bytes(b"inner")
    (source / "deep/er/still/there").write_bytes(b"deep downer")
    (source / "random").chmod(0o600)
    with (source / "large").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"changed in the middle")
    back_up("third")
    return made


@pytest.fixture(scope="session")
def small(newest: Restic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A little repository with three snapshots, each pack of which another one needs in part. Not to be changed."""
    place = tmp_path_factory.mktemp("small")
    made = place / "repository"
    Repository.create(LocalStore(made), PASSWORD, cost=CHEAP)
    (place / "source/inner").mkdir(parents=True)
    for round in range(3):
        for number in range(2 * round, 2 * round + 6):
            (place / "source" / str(number)).write_bytes(os.urandom(2000))
            (place / "source/inner" / str(number)).write_bytes(os.urandom(300))
        newest.run(made, "backup", str(place / "source"), "--host", f"round {round}")
    return made


@pytest.fixture
def place(filled: Path, tmp_path: Path) -> Path:
    """A copy of it that may be changed."""
    return copy_of(filled, tmp_path / "copy")


def copy_of(repository: Path, to: Path) -> Path:
    """A copy of a repository."""
    shutil.copytree(repository, to)
    return to


def in_memory(place: Path) -> MemoryStore:
    """A copy of a repository in memory."""
    store = MemoryStore()
    for kind in FileKind:
        original = LocalStore(place)
        for name, _ in original.list(kind):
            store.save(kind, name, original.load(kind, name))
    return store


def opened(place: Path | Store) -> Repository:
    """The repository in a folder or store."""
    return open_repository(LocalStore(place) if isinstance(place, Path) else place, PASSWORD)


def written_out(store: Store, place: Path) -> Path:
    """The files of a store in a folder."""
    target = LocalStore(place)
    target.create()
    for kind in FileKind:
        for name, _ in store.list(kind):
            target.save(kind, name, store.load(kind, name))
    return place


def manifest(repository: Repository) -> dict[str, dict[bytes, object]]:
    """What each snapshot restores to: by the snapshot that it is a copy of, by path, type and content."""
    found = {}
    for snapshot in repository.snapshots():
        assert snapshot.tree is not None
        found[snapshot.original or snapshot.id] = {
            visited.path: (
                visited.node.type,
                visited.node.mode,
                visited.node.mtime,
                content(repository, visited.node),
            )
            for visited in walk(repository, snapshot.tree)
        }
    return found


def content(repository: Repository, node: Node) -> str | None:
    """The hash of a file's content, or that it is lost; None for what is no file."""
    if node.content is None:
        return None
    try:
        return hashlib.sha256(b"".join(repository.load_blob(BlobKind.DATA, id) for id in node.content)).hexdigest()
    except DamagedError:
        return "lost"


def files(place: Path, kind: FileKind) -> Iterator[Path]:
    """The files of a kind, sorted."""
    folder = place / kind.value
    yield from sorted(file for file in folder.rglob("*") if file.is_file())


def change(file: Path, at: int, value: bytes) -> None:
    """Overwrite bytes of a file that is read-only."""
    file.chmod(0o600)
    with file.open("r+b") as opened:
        opened.seek(at if at >= 0 else file.stat().st_size + at)
        opened.write(value)


def flip(file: Path, at: int) -> None:
    """Flip a bit of the byte at `at`, counted from the end if it is negative."""
    change(file, at, bytes([file.read_bytes()[at] ^ 0x10]))


def truncate(file: Path, size: int) -> None:
    """Cut a file that is read-only."""
    file.chmod(0o600)
    os.truncate(file, size)
