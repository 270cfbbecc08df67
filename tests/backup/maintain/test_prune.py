"""Pruning and forgetting, held against the real restic."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backup.errors import DamagedError
from backup.maintain.check import CheckOptions, check
from backup.maintain.forget import forget
from backup.maintain.prune import PruneOptions, PruneResult, prune
from backup.maintain.prune_plan import PruneRules
from backup.repository.repository import Repository
from backup.select.sizes import Size
from backup.stores.contract import FileKind, PermanentStoreError
from tests.backup.maintain.conftest import Restic, copy_of, files, flip, manifest, opened
from tests.peers import restic_of_debian

CLEAN = PruneOptions(PruneRules(max_unused=Size(0)))


def pruned(place: Path, options: PruneOptions = CLEAN) -> PruneResult:
    repository = opened(place)
    with repository.lock(exclusive=True):
        return prune(repository, options)


def forgotten(place: Path, *hosts: str) -> Repository:
    """Forget the snapshots of these hosts."""
    repository = opened(place)
    with repository.lock(exclusive=True):
        forget(repository, [snapshot for snapshot in repository.snapshots() if snapshot.hostname in hosts])
    return repository


def names(place: Path) -> set[str]:
    return {str(file.relative_to(place)) for file in place.rglob("*") if file.is_file()}


def places(place: Path) -> list[tuple[int, bytes]]:
    """Every place of a blob."""
    return [(kind, id) for kind, id, _ in opened(place).blobs]


@pytest.mark.parametrize("gone", ["moved away", "link to a disk that is not mounted"])
def test_snapshots_that_cannot_be_listed_are_not_taken_for_none(place: Path, gone: str) -> None:
    """Nothing is removed then, where all packs would be."""
    before = names(place)
    (place / "snapshots").rename(place.parent / "away")
    if gone.startswith("link"):
        (place / "snapshots").symlink_to(place.parent / "disk")
    with pytest.raises(PermanentStoreError, match="snapshots"):
        pruned(place)
    assert names(place) == {name for name in before if not name.startswith("snapshots/")}


def test_what_we_prune_restic_accepts(place: Path, each: Restic) -> None:
    """And nothing is left to prune, and what was kept is as it was."""
    repository = forgotten(place, "first", "second")
    before = manifest(repository)
    result = pruned(place)
    assert result.stats.removed.blobs and result.stats.repacked.blobs
    each.accepts(place)
    assert manifest(opened(place)) == before
    again = pruned(place)
    assert again.plan.idle
    assert again.stats.bytes_unused_after == 0
    each.accepts(place)


def test_what_restic_prunes_we_accept(place: Path, each: Restic) -> None:
    """And find nothing left to prune."""
    before = manifest(opened(place))
    each.run(place, "forget", *[old.id for old in opened(place).snapshots() if old.hostname != "third"])
    each.run(place, "prune", "--max-unused", "0")
    repository = opened(place)
    report = check(repository, CheckOptions(read_data=True))
    assert report.sound and report.hints == []
    (kept,) = manifest(repository).items()
    assert before[kept[0]] == kept[1]
    assert pruned(place).plan.idle


@pytest.mark.parametrize("limit", [0, 100_000, 10**12])
def test_the_same_is_decided_as_by_restic(place: Path, tmp_path: Path, limit: int) -> None:
    """The same packs stay; later versions of restic call more packs small."""
    forgotten(place, "first")
    packs_before = {name for name in names(place) if name.startswith("data")}
    theirs = copy_of(place, tmp_path / "theirs")
    Restic(restic_of_debian()).run(theirs, "prune", "--max-unused", str(limit))
    pruned(place, PruneOptions(PruneRules(max_unused=Size(limit))))
    assert packs_before & names(place) == packs_before & names(theirs)
    assert set(places(place)) == set(places(theirs))


def test_a_dry_run_changes_nothing(place: Path) -> None:
    """It tells what would be."""
    forgotten(place, "first")
    before = names(place)
    result = pruned(place, PruneOptions(CLEAN.rules, dry_run=True))
    assert not result.plan.idle
    assert names(place) == before
    assert pruned(place).stats == result.stats


def test_a_dry_run_of_forget_tells_what_a_prune_after_it_would_do(place: Path) -> None:
    """As if the snapshots were gone."""
    before = names(place)
    repository = opened(place)
    gone = [snapshot for snapshot in repository.snapshots() if snapshot.hostname == "first"]
    with repository.lock():
        foretold = forget(repository, gone, prune_options=CLEAN, dry_run=True)
    assert names(place) == before
    with repository.lock(exclusive=True):
        done = forget(repository, gone, prune_options=CLEAN)
    assert done.pruned is not None and foretold.pruned is not None
    assert done.pruned.stats == foretold.pruned.stats
    assert done.removed == foretold.removed == gone


def test_packs_of_an_interrupted_backup_go(place: Path, each: Restic) -> None:
    """Those that no index has, those that an index has and no snapshot needs, and parts of uploads."""
    stray = place / "data/ab" / ("ab" * 32)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(os.urandom(1000))
    repository = forgotten(place, "third")
    result = pruned(place)
    assert not stray.exists()
    assert result.stats.packs_unreferenced == 1
    assert result.stats.packs_removed >= 1
    each.accepts(place)
    assert len(repository.snapshots()) == 2


def test_a_pack_that_is_missing_and_not_needed_is_forgotten(place: Path, each: Restic) -> None:
    """The index is mended on the way."""
    repository = opened(place)
    before = set(repository.blobs.packs)
    forgotten(place, "third")
    gone = next(iter(sorted(pruned(place, PruneOptions(CLEAN.rules, dry_run=True)).plan.remove)))
    (place / "data" / gone.hex()[:2] / gone.hex()).unlink()
    assert pruned(place).plan.forget == {gone}
    assert gone in before
    each.accepts(place)


@pytest.mark.parametrize("kind", [FileKind.INDEX, FileKind.SNAPSHOT])
def test_nothing_is_pruned_where_it_is_not_known_what_is_needed(place: Path, kind: FileKind) -> None:
    """A damaged index or snapshot ends it before anything is changed."""
    forgotten(place, "first")
    flip(next(files(place, kind)), 30)
    before = names(place)
    with pytest.raises(DamagedError):
        pruned(place)
    assert names(place) == before


def test_nothing_is_pruned_where_a_needed_pack_is_missing(place: Path) -> None:
    """It might come back."""
    forgotten(place, "first")
    max(files(place, FileKind.PACK), key=lambda file: file.stat().st_size).unlink()
    before = names(place)
    with pytest.raises(DamagedError, match="nothing was changed"):
        pruned(place)
    assert names(place) == before


def test_prune_needs_an_exclusive_lock(place: Path) -> None:
    """A backup beside it would lose what it counts on."""
    repository = opened(place)
    with repository.lock(), pytest.raises(RuntimeError):
        prune(repository)


def test_uncompressed_data_becomes_smaller(place: Path, newest: Restic, each: Restic, tmp_path: Path) -> None:
    """What a backup without compression wrote is compressed on request."""
    text = tmp_path / "text"
    text.write_bytes(b"".join(b"line %d\n" % number for number in range(100_000)))
    newest.run(place, "backup", "--compression", "off", str(text))
    before = sum(file.stat().st_size for file in files(place, FileKind.PACK))
    pruned(place, PruneOptions(PruneRules(uncompressed=True)))
    assert sum(file.stat().st_size for file in files(place, FileKind.PACK)) < before - 500_000
    each.accepts(place)
