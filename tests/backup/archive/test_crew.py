"""How many workers a backup has."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from backup.archive import crew
from backup.archive.backup import run_backup
from backup.archive.plan import Plan
from backup.errors import RepositoryError
from backup.repository.packer import FinishedPack
from backup.repository.uploads import Uploads
from tests.backup.archive.ground import Ground


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of each worker that is forked."""
    numbers: list[int] = []
    fork_one = crew.Crew._fork_one

    def fork(self: crew.Crew) -> crew._Hand:
        numbers.append(len(self._hands))
        return fork_one(self)

    monkeypatch.setattr(crew.Crew, "_fork_one", fork)
    return numbers


def save(ground: Ground, source: Path, workers: int, pack_size: int = 16 << 20) -> None:
    repository = ground.open()
    with repository.lock():
        outcome = run_backup(repository, Plan((os.fsencode(source),), workers=workers, pack_size=pack_size))
    assert outcome.problems == []


def test_little_work_is_for_one_worker(ground: Ground, tmp_path: Path, forked: list[int]) -> None:
    """And none is there for nothing."""
    source = tmp_path / "files"
    source.mkdir()
    for number in range(20):
        (source / f"{number}").write_bytes(os.urandom(1000))
    save(ground, source, 4)
    assert forked == [0]
    forked.clear()
    save(ground, source, 4)
    assert forked == []


def test_much_work_is_for_all(
    ground: Ground, tmp_path: Path, forked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come while the first ones have enough to do: here they are not heard before somebody waits for them."""
    hear = crew.Crew.hear
    monkeypatch.setattr(crew.Crew, "hear", lambda self, *, block: hear(self, block=block) if block else None)
    source = tmp_path / "files"
    source.mkdir()
    for number in range(40):
        (source / f"{number}").write_bytes(os.urandom(1 << 20))
    save(ground, source, 3, pack_size=128 << 20)
    assert forked == [0, 1, 2]


def test_who_may_fork_but_one_has_it_do_all(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a limit of processes; where none may be forked, that is told."""
    source = tmp_path / "files"
    source.mkdir()
    for number in range(12):
        (source / f"{number}").write_bytes(os.urandom(3 << 20))
    fork, left = os.fork, [1]

    def limited() -> int:
        if not left[0]:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        left[0] -= 1
        return fork()

    monkeypatch.setattr(crew.os, "fork", limited)
    save(ground, source, 3, pack_size=4 << 20)
    assert left == [0]
    (source / "more").write_bytes(os.urandom(1000))
    with pytest.raises(RepositoryError, match="no worker of the backup could be started: Resource temporarily"):
        save(ground, source, 3)


def test_all_are_there_before_the_first_upload(
    ground: Ground, tmp_path: Path, forked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that uploads may hold locks of libraries when somebody forks."""
    source = tmp_path / "files"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(5 << 20))
    for number in range(3):  # read after it, and by another batch, when a pack is full
        (source / f"{number}").write_bytes(os.urandom(3 << 20))
    monkeypatch.setattr(crew, "OUTSTANDING", 100)
    add = Uploads.add
    before: list[int] = []

    def note(self: Uploads, pack: FinishedPack) -> None:
        before.append(len(forked))
        add(self, pack)

    monkeypatch.setattr(Uploads, "add", note)
    save(ground, source, 3, pack_size=4 << 20)
    assert len(before) > 2
    assert set(before) == {3}
