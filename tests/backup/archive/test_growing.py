"""Files that are larger when they are read than when they were listed, and how far a run is with large ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from backup.archive import backup, walk, worker
from backup.archive.backup import run_backup
from backup.archive.course import MisleadingCacheError
from backup.archive.plan import Plan
from backup.archive.report import Problem, Progress
from backup.archive.saving import Saving
from tests.backup.archive.ground import Ground

MIB = 1 << 20


def test_a_file_that_grew_since_it_was_listed_is_cut_by_the_parent(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large it is by then, no worker takes it into its memory as a whole, and all of it is saved."""
    top = tmp_path / "top"
    top.mkdir()
    for name in ("a", "dump", "z"):
        (top / name).write_bytes(name.encode())
    given = Saving.flush

    def grow(self: Saving) -> None:
        if (top / "dump").stat().st_size < 100:
            (top / "dump").write_bytes(os.urandom(worker.LARGE + MIB))
        given(self)

    monkeypatch.setattr(Saving, "flush", grow)
    monkeypatch.setattr(worker, "_read", _no_more_than(worker.LARGE))
    outcome = ground.save(top)
    assert not outcome.problems
    found = {os.path.basename(path): node for path, node in ground.files(outcome).items()}  # noqa: PTH119  # bytes
    assert ground.content(found[b"dump"]) == (top / "dump").read_bytes()
    assert (ground.content(found[b"a"]), ground.content(found[b"z"])) == (b"a", b"z")
    assert outcome.summary.total_bytes_processed == worker.LARGE + MIB + 2


def _no_more_than(most: int) -> Any:
    read = worker._read

    def checked(descriptor: int, size: int) -> bytes:
        assert size <= most
        return read(descriptor, size)

    return checked


def test_what_says_that_it_is_empty_and_never_ends_has_an_end(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some files of /proc do: their beginning is saved, and the run says so."""
    monkeypatch.setattr(worker, "_MOST_UNSIZED", 100_000)
    (tmp_path / "top").mkdir()
    file = tmp_path / "top" / "endless"
    file.touch()
    real = os.read

    def read(descriptor: int, size: int) -> bytes:
        if os.path.realpath(f"/proc/self/fd/{descriptor}") == str(file):
            return b"x" * min(size, 65_536)
        return real(descriptor, size)

    monkeypatch.setattr(os, "read", read)
    outcome = ground.save(tmp_path / "top")
    (problem,) = outcome.problems
    assert problem.reason == "says that it is empty, and has no end; its first 100000 bytes were saved"
    (node,) = (node for path, node in ground.files(outcome).items() if path.endswith(b"endless"))
    assert ground.content(node) == b"x" * 100_000


def test_the_progress_counts_what_is_read_of_a_large_file(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who saves an image of 500 GB sees it move, and never back."""
    monkeypatch.setattr(walk, "_TELL_EVERY", 0.0)
    (tmp_path / "small").write_bytes(b"small")
    for name in ("image", "other"):
        (tmp_path / name).write_bytes(os.urandom(40 * MIB))
    sizes: list[int] = []

    def note(progress: Progress) -> None:
        sizes.append(progress.size)

    repository = ground.open()
    targets = tuple(os.fsencode(tmp_path / name) for name in ("small", "image", "other"))
    with repository.lock():
        run_backup(repository, Plan(targets), on_progress=note)
    assert sizes == sorted(sizes)
    assert any(5 * MIB < size < 35 * MIB for size in sizes)
    assert any(45 * MIB < size < 75 * MIB for size in sizes)
    assert sizes[-1] == 80 * MIB + 5


def test_a_second_walk_tells_nothing_again(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cache misled the first one: each path that cannot be read is told and counted once."""
    top = tmp_path / "top"
    top.mkdir()
    (top / "file").write_bytes(b"content")
    real = backup._save
    walks: list[None] = []

    def save(run: Any, *arguments: Any) -> Any:
        walks.append(None)
        run.problem(os.fsencode(top / "secret"), "cannot be opened: Permission denied")
        if len(walks) == 1:
            run.problem(os.fsencode(top), "the tree of the parent cannot be used")
            raise MisleadingCacheError("the tree that the cache names is lost")
        return real(run, *arguments)

    monkeypatch.setattr(backup, "_save", save)
    told: list[Problem] = []
    repository = ground.open()
    with repository.lock():
        outcome = run_backup(
            repository, Plan((os.fsencode(top), os.fsencode(tmp_path / "gone"))), on_problem=told.append
        )
    assert [Path(problem.path).name for problem in told] == ["gone", "secret", "top"]
    assert [Path(problem.path).name for problem in outcome.problems] == ["gone", "secret"]
    assert outcome.problem_count == 2
