"""Copying between repositories, held against the real restic."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backup.errors import DamagedError
from backup.maintain.copy import Copied, copy
from backup.repository.repository import Repository
from backup.stores.contract import FileKind
from backup.stores.local import LocalStore
from kit.errors import UsageError
from tests.backup.maintain.conftest import CHEAP, PASSWORD, Restic, copy_of, files, manifest, opened


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An empty repository with a key of its own."""
    place = tmp_path / "target"
    Repository.create(LocalStore(place), PASSWORD, cost=CHEAP)
    return place


def copied(place: Path, target: Path) -> list[Copied]:
    source, to = opened(place), opened(target)
    with source.lock(), to.lock():
        return copy(source, to, source.snapshots())


def test_what_we_copy_restic_accepts(filled: Path, tmp_path: Path, target: Path, each: Restic) -> None:
    """It restores to the same, and each snapshot names its original and no parent."""
    place = copy_of(filled, tmp_path / "copy")
    result = copied(place, target)
    assert [entry.skipped for entry in result] == [False] * 3
    each.accepts(target)
    assert manifest(opened(target)) == manifest(opened(place))
    for snapshot in each.json(target, "snapshots"):
        assert "parent" not in snapshot
        assert snapshot["original"] in {entry.source.id for entry in result}


def test_only_what_is_missing_is_copied_and_nothing_twice(place: Path, target: Path, newest: Restic) -> None:
    """A second copy skips all; after another backup only that is copied, and of it only new blobs."""
    copied(place, target)
    packs = set(files(target, FileKind.PACK))
    assert [entry.skipped for entry in copied(place, target)] == [True] * 3
    assert set(files(target, FileKind.PACK)) == packs
    source = Path(newest.json(place, "snapshots")[0]["paths"][0])
    newest.run(place, "backup", str(source / "deep"))
    assert sorted(entry.skipped for entry in copied(place, target)) == [False, True, True, True]
    assert all(file.stat().st_size < 5000 for file in set(files(target, FileKind.PACK)) - packs)  # trees
    newest.accepts(target)


def test_restic_and_we_skip_what_the_other_copied(place: Path, target: Path, each: Restic) -> None:
    """In either order nothing is copied twice."""
    environment = {"RESTIC_FROM_PASSWORD": PASSWORD.decode()}
    each.run(target, "copy", "--from-repo", str(place), environment=environment)
    assert [entry.skipped for entry in copied(place, target)] == [True] * 3
    count = len(list(files(target, FileKind.SNAPSHOT)))
    each.run(place, "copy", "--from-repo", str(target), environment=environment)
    assert len(list(files(place, FileKind.SNAPSHOT))) == count


def test_a_copy_of_a_copy_names_the_first_original(place: Path, target: Path, tmp_path: Path) -> None:
    """So that it is known again anywhere."""
    copied(place, target)
    further = tmp_path / "further"
    Repository.create(LocalStore(further), PASSWORD, cost=CHEAP)
    copied(target, further)
    assert {snapshot.original for snapshot in opened(further).snapshots()} == {
        snapshot.id for snapshot in opened(place).snapshots()
    }
    assert all(entry.skipped for entry in copied(further, place))


def test_what_the_source_lost_is_not_copied(place: Path, target: Path) -> None:
    """A snapshot that would not be whole is not made."""
    max(files(place, FileKind.PACK), key=lambda file: file.stat().st_size).unlink()
    with pytest.raises(DamagedError):
        copied(place, target)
    each = opened(target).snapshots()
    assert all(snapshot.tree is not None and opened(target).load_tree(snapshot.tree) for snapshot in each)


def test_a_repository_is_not_copied_onto_itself(place: Path) -> None:
    """It would only make noise."""
    repository = opened(place)
    with repository.lock(), pytest.raises(UsageError):
        copy(repository, opened(place), repository.snapshots())


def test_compression_of_the_target_counts(place: Path, target: Path, newest: Restic, tmp_path: Path) -> None:
    """What the source holds uncompressed is compressed there."""
    text = tmp_path / "text"
    text.write_bytes(b"".join(b"line %d\n" % number for number in range(100_000)) + os.urandom(10))
    newest.run(place, "backup", "--compression", "off", str(text))
    copied(place, target)
    size = {path: sum(file.stat().st_size for file in files(path, FileKind.PACK)) for path in (place, target)}
    assert size[target] < size[place] - 500_000
