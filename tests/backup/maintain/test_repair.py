"""Repairing index, packs and snapshots, held against the real restic."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from backup.errors import DamagedError
from backup.format.pack import BlobKind, PackedBlob
from backup.maintain.check import CheckOptions, CheckReport, check
from backup.maintain.contents import PackContents
from backup.maintain.repair_index import RepairIndexOptions, RepairIndexResult, repair_index
from backup.maintain.repair_packs import RepairPacksResult, repair_packs
from backup.maintain.repair_snapshots import RepairSnapshotsOptions, repair_snapshots
from backup.maintain.replace import Replacement
from backup.repository.opening import open_repository
from backup.stores.contract import FileKind, StoreError
from backup.stores.local import LocalStore
from tests.backup.faulty import Fault, FaultyStore
from tests.backup.maintain.conftest import PASSWORD, Restic, copy_of, files, flip, manifest, opened, truncate


def index_repaired(place: Path, options: RepairIndexOptions | None = None) -> RepairIndexResult:
    repository = opened(place)
    with repository.lock(exclusive=True):
        return repair_index(repository, options)


def packs_repaired(place: Path, *names: str) -> RepairPacksResult:
    repository = opened(place)
    with repository.lock(exclusive=True):
        return repair_packs(repository, map(bytes.fromhex, names))


def snapshots_repaired(place: Path, options: RepairSnapshotsOptions | None = None) -> list[Replacement]:
    repository = opened(place)
    with repository.lock(exclusive=True):
        return repair_snapshots(repository, repository.snapshots(), options)


def checked(place: Path) -> CheckReport:
    return check(opened(place), CheckOptions(read_data=True))


def largest(place: Path) -> Path:
    return max(files(place, FileKind.PACK), key=lambda file: file.stat().st_size)


@pytest.mark.parametrize("damage", ["flipped", "one gone", "all gone", "pack unknown", "pack gone"])
@pytest.mark.parametrize("read_all", [False, True])
def test_an_index_is_made_right_again(place: Path, newest: Restic, damage: str, read_all: bool) -> None:
    """Whatever was wrong with it; what the packs hold is known again."""
    before = manifest(opened(place))
    stray = None
    if damage == "flipped":
        for index in files(place, FileKind.INDEX):
            flip(index, 40)
    elif damage == "one gone":
        next(files(place, FileKind.INDEX)).unlink()
    elif damage == "all gone":
        for index in files(place, FileKind.INDEX):
            index.unlink()
    elif damage == "pack unknown":
        stray = place / "data/ab" / ("ab" * 32)
        stray.parent.mkdir(exist_ok=True)
        stray.write_bytes(os.urandom(500))
    else:
        repository = opened(place)
        with repository.lock():
            repository.save_index([(bytes(32), PackContents(repository.blobs).blobs(repository.blobs.packs[0]))])
    result = index_repaired(place, RepairIndexOptions(read_all_packs=read_all))
    assert checked(place).sound
    newest.accepts(place)
    assert manifest(opened(place)) == before
    if stray is not None:
        assert list(result.unreadable) == [stray.name]
    if damage == "pack gone" and not read_all:
        assert result.gone == ["00" * 32]
    assert index_repaired(place).damaged == {}


def test_an_index_that_is_right_is_left_alone(place: Path) -> None:
    """Nothing is written."""
    only = index_repaired(place)  # joins the small ones
    assert only == RepairIndexResult()
    before = sorted(files(place, FileKind.INDEX))
    index_repaired(place)
    assert sorted(files(place, FileKind.INDEX)) == before


def test_a_dry_run_of_repair_index_changes_nothing(place: Path) -> None:
    """It tells what would be done."""
    next(files(place, FileKind.INDEX)).unlink()
    before = sorted(place.rglob("*"))
    result = index_repaired(place, RepairIndexOptions(dry_run=True))
    assert result.added
    assert sorted(place.rglob("*")) == before


def test_what_is_good_in_a_damaged_pack_is_saved(place: Path, each: Restic) -> None:
    """Only the blob with the flipped bit is lost; without what it touches, the snapshots are whole again."""
    before = manifest(opened(place))
    pack = largest(place)
    blobs = PackContents(opened(place).blobs).blobs(bytes.fromhex(pack.name))
    flip(pack, blobs[-1].offset + 40)
    report = checked(place)
    assert report.damaged_packs == [pack.name]
    result = packs_repaired(place, *report.damaged_packs)
    assert not pack.exists()
    assert set(result.lost) == {(blobs[-1].kind, blobs[-1].id)}
    assert result.saved == len(blobs) - 1
    snapshots_repaired(place, RepairSnapshotsOptions(forget=True))
    each.accepts(place)
    _only_touched_differs(before, place, report)


def test_what_is_before_the_cut_of_a_truncated_pack_is_saved(place: Path, each: Restic) -> None:
    """Its header is gone; the index still tells."""
    before = manifest(opened(place))
    pack = largest(place)
    blobs = PackContents(opened(place).blobs).blobs(bytes.fromhex(pack.name))
    truncate(pack, blobs[-1].offset + 40)
    report = checked(place)
    result = packs_repaired(place, pack.name)
    assert result.saved == len(blobs) - 1
    snapshots_repaired(place, RepairSnapshotsOptions(forget=True))
    each.accepts(place)
    _only_touched_differs(before, place, report)


def _only_touched_differs(before: dict[str, dict[bytes, object]], place: Path, report: CheckReport) -> None:
    """Only the files that the check named are otherwise than they were."""
    after = manifest(opened(place))
    assert set(after) == set(before)
    touched = {entry.snapshot.id: set(entry.paths) for entry in report.touched}
    assert touched
    for id, entries in before.items():
        differs = {path for path in entries if after[id].get(path) != entries[path]}
        assert differs == touched.get(id, set())


@pytest.mark.parametrize("read_all", [False, True])
def test_repair_index_keeps_what_it_knows_of_packs_that_do_not_tell_any_more(place: Path, read_all: bool) -> None:
    """A pack that was cut short has no header; by the old entries its blobs can still be saved."""
    pack = largest(place)
    blobs = PackContents(opened(place).blobs).blobs(bytes.fromhex(pack.name))
    truncate(pack, blobs[-1].offset + 40)
    damaged = place / "index" / ("ab" * 32)  # which tells nothing, and keeps the others from nothing
    if read_all:
        damaged.write_bytes(os.urandom(100))
    assert list(index_repaired(place, RepairIndexOptions(read_all_packs=read_all)).unreadable) == [pack.name]
    assert not damaged.exists()
    assert PackContents(opened(place).blobs).blobs(bytes.fromhex(pack.name)) == blobs
    assert packs_repaired(place, pack.name).saved == len(blobs) - 1


def test_an_index_file_that_cannot_be_read_just_now_stays(place: Path) -> None:
    """It may be whole, and then knows what no other does."""
    before = sorted(files(place, FileKind.INDEX))
    store = FaultyStore(LocalStore(place), Fault("load", 2, "failing once", FileKind.INDEX))
    repository = open_repository(store, PASSWORD)
    with pytest.raises(StoreError), repository.lock(exclusive=True):
        repair_index(repository)
    assert sorted(files(place, FileKind.INDEX)) == before


@pytest.mark.parametrize("what", ["packs", "snapshots"])
def test_what_cannot_be_had_just_now_is_not_given_up(place: Path, what: str) -> None:
    """A store that fails is no proof that anything is lost."""
    pack = largest(place)
    before = manifest(opened(place))
    store = FaultyStore(LocalStore(place), Fault("load", 1, "failing for ever", FileKind.PACK))
    repository = open_repository(store, PASSWORD)
    with pytest.raises(StoreError), repository.lock(exclusive=True):
        if what == "packs":
            repair_packs(repository, [bytes.fromhex(pack.name)])
        else:
            repair_snapshots(repository, repository.snapshots())
    assert manifest(opened(place)) == before


def test_a_pack_that_is_nowhere_is_refused_before_anything_is_changed(place: Path) -> None:
    """A name that was mistyped."""
    before = sorted(place.rglob("*"))
    with pytest.raises(DamagedError, match="there is no pack"):
        packs_repaired(place, "ab" * 32)
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("kind", [BlobKind.DATA, BlobKind.TREE])
def test_repaired_snapshots_are_those_of_restic(place: Path, tmp_path: Path, newest: Restic, kind: BlobKind) -> None:
    """The same trees, byte for byte, whichever pack is gone."""
    victims = {blobs[0].kind: pack for pack, blobs in _packs(place)}
    (place / "data" / victims[kind].hex()[:2] / victims[kind].hex()).unlink()
    index_repaired(place)
    theirs = copy_of(place, tmp_path / "theirs")
    newest.run(theirs, "repair", "snapshots", "--forget")
    snapshots_repaired(place, RepairSnapshotsOptions(forget=True))
    seen = [
        {
            (snapshot.original, snapshot.hostname, snapshot.tree, snapshot.tags)
            for snapshot in opened(path).snapshots()
        }
        for path in (place, theirs)
    ]
    assert seen[0] == seen[1]
    newest.accepts(place)


def _named(place: Path) -> set[tuple[object, ...]]:
    return {
        (snapshot.original, snapshot.hostname, snapshot.tree, snapshot.tags) for snapshot in opened(place).snapshots()
    }


def _packs(place: Path) -> list[tuple[bytes, list[PackedBlob]]]:
    contents = PackContents(opened(place).blobs)
    return [(pack, list(contents.blobs(pack))) for pack in contents]


def test_without_forget_broken_snapshots_stay_and_the_new_ones_are_marked(place: Path) -> None:
    """By a tag; whole ones are left alone."""
    pack = largest(place)
    pack.unlink()
    index_repaired(place)
    told: list[bytes] = []
    options = RepairSnapshotsOptions(dry_run=True, on_repair=lambda path, what: told.append(path))
    before = sorted(place.rglob("*"))
    foretold = snapshots_repaired(place, options)
    assert sorted(place.rglob("*")) == before
    assert told
    done = snapshots_repaired(place)
    assert len(opened(place).snapshots()) == 3 + sum(entry.changed for entry in done)
    assert all("repaired" in entry.new.tags for entry in done if entry.changed and entry.new)
    assert [entry.changed for entry in foretold] == [entry.changed for entry in done]
    assert not any(entry.changed for entry in snapshots_repaired(place) if entry.old.original)


@pytest.mark.parametrize("forget", [False, True])
def test_a_snapshot_whose_root_is_lost_goes_only_where_it_may(place: Path, newest: Restic, forget: bool) -> None:
    """There is nothing of it to save anew; without `forget` it stays, and is named."""
    for pack, blobs in _packs(place):
        if blobs[0].kind is BlobKind.TREE:
            (place / "data" / pack.hex()[:2] / pack.hex()).unlink()
    index_repaired(place)
    before = opened(place).snapshots()
    done = snapshots_repaired(place, RepairSnapshotsOptions(forget=forget))
    assert [(entry.old, entry.new, entry.forgotten, entry.changed) for entry in done] == [
        (snapshot, None, forget, forget) for snapshot in before
    ]
    assert opened(place).snapshots() == ([] if forget else before)
    if forget:
        newest.accepts(place)


def test_a_repository_with_nothing_but_packs_and_keys_is_read_again(place: Path, each: Restic) -> None:
    """The index is only a shortcut."""
    before = manifest(opened(place))
    shutil.rmtree(place / "index")
    (place / "index").mkdir()
    index_repaired(place)
    each.accepts(place)
    assert manifest(opened(place)) == before
