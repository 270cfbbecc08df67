"""Checking: sound repositories are, and each kind of damage is found, named, and told from what it does not touch."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.errors import DamagedError, LockedError
from backup.format.pack import BlobKind, PackedBlob
from backup.maintain.check import CheckOptions, CheckReport, check
from backup.maintain.contents import PackContents
from backup.maintain.packcheck import check_pack
from backup.maintain.subset import choose_packs
from backup.repository.blobs import BlobIndex
from backup.repository.locks import remove_locks
from backup.repository.repository import Repository
from backup.repository.saver import BlobSaver
from backup.select.sizes import Group, Share, Size
from backup.stores.contract import FileKind
from backup.stores.local import LocalStore
from backup.stores.memory import MemoryStore
from tests.backup.faulty import Fault, FaultyStore
from tests.backup.maintain.conftest import Restic, files, flip, in_memory, opened, truncate

DATA = CheckOptions(read_data=True)


@pytest.fixture(scope="module")
def memory(filled: Path) -> MemoryStore:
    """The filled repository; whoever changes it changes it back."""
    return in_memory(filled)


def checked(place: Path, options: CheckOptions = DATA) -> CheckReport:
    repository = opened(place)
    with repository.lock(exclusive=True):
        return check(repository, options)


def pack_of(place: Path, kind: BlobKind, path: bytes = b"") -> tuple[Path, PackedBlob]:
    """The largest blob of a kind that is in one pack alone, and its pack's file."""
    repository = opened(place)
    found = [
        (blob, repository.blobs.packs[number])
        for _, number, blob in repository.blobs.slots()
        if blob.kind is kind and len(list(repository.blobs.find_all(kind, blob.id))) == 1
    ]
    blob, pack = max(found, key=lambda pair: pair[0].length)
    return place / "data" / pack.hex()[:2] / pack.hex(), blob


def test_finds_nothing_wrong_with_what_restic_wrote(filled: Path) -> None:
    """A sound repository has neither problems nor hints, and all of its bytes are read."""
    report = checked(filled)
    assert report.sound
    assert report.hints == [] and report.touched == []
    assert report.snapshots == 3
    assert report.packs_read == len(list(files(filled, FileKind.PACK)))
    assert report.bytes_read == sum(file.stat().st_size for file in files(filled, FileKind.PACK))


@pytest.mark.parametrize("kind", [FileKind.INDEX, FileKind.SNAPSHOT, FileKind.KEY, FileKind.LOCK])
@pytest.mark.parametrize("at", [0, 40, -1])
def test_a_flipped_bit_in_a_small_file_is_found_and_named(place: Path, kind: FileKind, at: int) -> None:
    """Index, snapshot, key and lock: whichever byte it is in, the file is named."""
    repository = opened(place)
    if kind is FileKind.KEY:  # a second one, for the repository must still open
        file = place / "keys" / ("0" * 64)
        file.write_bytes(next(files(place, FileKind.KEY)).read_bytes())
    elif kind is FileKind.LOCK:
        file = left_behind(repository, place)
    else:
        file = next(files(place, kind))
    flip(file, at)
    report = check(repository, DATA)
    assert f"{kind.value}/{file.name}" in {problem.file for problem in report.problems}
    assert report.index_damaged == (kind is FileKind.INDEX)


def test_an_index_that_cannot_be_read_just_now_does_not_end_the_check(place: Path) -> None:
    """Packs, trees and the other indexes are looked at all the same; nothing is said of pruning."""
    stray = place / "data/ab" / ("ab" * 32)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(os.urandom(100))
    count = len(list(files(place, FileKind.INDEX)))
    store = FaultyStore(LocalStore(place), Fault("load", count, "failing once", FileKind.INDEX))
    repository = opened(store)
    report = check(repository, DATA)
    assert store.met
    (problem,) = (problem for problem in report.problems if problem.file.startswith("index/"))
    assert "failed once" in problem.message
    assert not report.index_damaged
    assert report.packs_read > 0 and report.snapshots == 3
    assert {hint.remedy for hint in report.hints} <= {"repair index"}
    assert f"data/{stray.name}" in {hint.file for hint in report.hints}


def left_behind(repository: Repository, place: Path) -> Path:
    """The lock of somebody who was killed."""
    with repository.lock():
        (lock,) = files(place, FileKind.LOCK)
        content = lock.read_bytes()
    lock.write_bytes(content)
    return lock


def test_a_damaged_config_or_only_key_is_named_when_the_repository_is_opened(place: Path) -> None:
    """Nothing can be checked without them, so opening says what is wrong."""
    flip(place / "config", 30)
    with pytest.raises(DamagedError, match="config"):
        opened(place)
    flip(place / "config", 30)
    key = next(files(place, FileKind.KEY))
    flip(key, -20)
    with pytest.raises(DamagedError, match=key.name[:8]):
        opened(place)


def test_a_damaged_lock_keeps_others_out_and_is_named(place: Path) -> None:
    """Nobody knows what it says."""
    repository = opened(place)
    lock = left_behind(repository, place)
    flip(lock, 50)
    with pytest.raises(LockedError, match=lock.name[:8]), repository.lock(exclusive=True):
        pass


def test_an_empty_lock_is_a_hint_whose_remedy_ends_it(place: Path) -> None:
    """Whoever wrote it was cut off; nobody knows whose it is."""
    lock = place / "locks" / ("ab" * 32)
    lock.touch()
    repository = opened(place)
    report = check(repository, CheckOptions())
    assert report.sound
    assert [(hint.file, hint.remedy) for hint in report.hints] == [(f"locks/{lock.name}", "unlock --remove-all")]
    assert remove_locks(repository, all=False, now=time.time_ns()) == 0
    assert remove_locks(repository, all=True, now=time.time_ns()) == 1
    assert not lock.exists()


@pytest.mark.parametrize("kind", [BlobKind.DATA, BlobKind.TREE])
def test_a_flipped_bit_in_a_blob_is_found_with_the_files_that_it_touches(place: Path, kind: BlobKind) -> None:
    """The pack, the blob, and of each snapshot what cannot be restored; the rest is said to be well."""
    pack, blob = pack_of(place, kind)
    flip(pack, blob.offset + blob.length // 2)
    report = checked(place)
    assert {problem.file for problem in report.problems} == {f"data/{pack.name}"}
    assert any(blob.id.hex()[:8] in problem.message for problem in report.problems)
    assert report.damaged_packs == [pack.name]
    repository = opened(place)
    for touched in report.touched:
        assert touched.count == len(touched.paths) == 1
        for path in touched.paths:
            assert _is_lost(repository, touched.snapshot.tree, path)
    assert 1 <= len(report.touched) <= 3


def _is_lost(repository: Repository, tree: bytes | None, path: bytes) -> bool:
    """Whether a path in a snapshot refers to a blob that does not load."""
    assert tree is not None
    try:
        *folders, name = path.strip(b"/").split(b"/")
        for folder in folders:
            tree = next(node.subtree for node in repository.load_tree(tree) if node.name == folder)
            assert tree is not None
        node = next(node for node in repository.load_tree(tree) if node.name == name)
        for id in node.content or ():
            repository.load_blob(BlobKind.DATA, id)
        if node.subtree is not None:
            repository.load_tree(node.subtree)
    except DamagedError:
        return True
    return False


@pytest.mark.parametrize("at", [-1, -3, -5, -20, -60])
def test_a_flipped_bit_in_a_packs_header_is_found_though_no_file_suffers(place: Path, at: int) -> None:
    """The index still tells where the blobs are."""
    pack, _ = pack_of(place, BlobKind.DATA)
    flip(pack, at)
    report = checked(place)
    assert {problem.file for problem in report.problems} == {f"data/{pack.name}"}
    assert report.touched == []


@given(data=st.data())
def test_a_flipped_bit_anywhere_in_a_pack_is_found(memory: MemoryStore, data: st.DataObject) -> None:
    """Every bit of every pack counts."""
    repository = opened(memory)
    contents = PackContents(repository.blobs)
    id = data.draw(st.sampled_from(sorted(contents)))
    sound = memory.load(FileKind.PACK, id.hex())
    damaged = bytearray(sound)
    damaged[data.draw(st.integers(0, len(sound) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    memory.save(FileKind.PACK, id.hex(), bytes(damaged))
    try:
        result = check_pack(repository, id, len(damaged), contents.blobs(id))
    finally:
        memory.save(FileKind.PACK, id.hex(), sound)
    assert result.faults
    assert all(id.hex()[:8] in fault for fault in result.faults)


def test_structure_alone_finds_damaged_trees(place: Path) -> None:
    """Trees are read in any case; data is not."""
    pack, blob = pack_of(place, BlobKind.TREE)
    flip(pack, blob.offset + 20)
    report = checked(place, CheckOptions())
    assert any(problem.blob == (BlobKind.TREE, blob.id) for problem in report.problems)
    assert report.packs_read == 0


def test_a_pack_that_is_gone_or_cut_short_is_named_with_what_it_touches(place: Path) -> None:
    """Neither needs the data to be read."""
    gone, _ = pack_of(place, BlobKind.DATA)
    gone.unlink()
    report = checked(place, CheckOptions())
    assert f"data/{gone.name}" in {problem.file for problem in report.problems}
    assert report.index_damaged
    assert any(b"/large" in path or b"/random" in path for touched in report.touched for path in touched.paths)


def test_a_pack_that_is_cut_short_is_named(place: Path) -> None:
    """By its size alone, and by its data what is lost of it."""
    pack, blob = pack_of(place, BlobKind.DATA)
    truncate(pack, blob.offset + blob.length // 2)
    report = checked(place, CheckOptions())
    assert [problem.file for problem in report.problems] == [f"data/{pack.name}"]
    report = checked(place)
    assert any(blob.id.hex()[:8] in problem.message for problem in report.problems)
    assert report.touched


def test_what_no_index_knows_is_a_hint(place: Path, each: Restic) -> None:
    """An interrupted backup leaves such; it costs space and nothing else."""
    (place / "data/ab").mkdir(exist_ok=True)
    (place / "data/ab" / ("ab" * 32)).write_bytes(os.urandom(100))
    report = checked(place)
    assert report.sound
    assert [(hint.file, hint.remedy) for hint in report.hints] == [(f"data/{'ab' * 32}", "prune")]
    each.accepts(place)


def test_a_pack_in_two_indexes_is_a_hint(place: Path) -> None:
    """An interrupted prune leaves such."""
    repository = opened(place)
    pack = repository.blobs.packs[0]
    with repository.lock():
        repository.save_index([(pack, PackContents(repository.blobs).blobs(pack))])
    report = checked(place)
    assert report.sound
    assert [(hint.file, hint.remedy) for hint in report.hints] == [(f"data/{pack.hex()}", "repair index")]


@pytest.mark.parametrize("loaded", [1000, 0])
def test_a_blob_that_another_pack_has_is_not_lost(place: Path, loaded: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The damage is told, but nothing is touched by it, also where too much is damaged to load every blob."""
    monkeypatch.setattr("backup.maintain.check._MOST_LOADED", loaded)
    pack, blob = pack_of(place, BlobKind.DATA)
    repository = opened(place)
    with repository.lock(), BlobSaver(repository, known=BlobIndex()) as saver:
        saver.save(blob.kind, repository.load_blob(blob.kind, blob.id))
        saver.flush()
    flip(pack, blob.offset)
    report = checked(place)
    assert not report.sound
    assert report.touched == []
    for copy in opened(place).blobs.packs:
        flip(place / "data" / copy.hex()[:2] / copy.hex(), -1)  # their headers: no pack is above suspicion any more
    assert bool(checked(place).touched) == (loaded == 0)


def test_an_empty_repository_is_sound(place: Path, each: Restic) -> None:
    """There is nothing to be wrong with it."""
    for kind in (FileKind.SNAPSHOT, FileKind.INDEX, FileKind.PACK):
        for file in files(place, kind):
            file.unlink()
    assert checked(place).sound


def packs(count: int) -> dict[bytes, int]:
    return {bytes([number % 256, number // 256]) + bytes(30): 1000 + number for number in range(count)}


@given(count=st.integers(0, 100), total=st.integers(1, 256))
def test_the_groups_of_a_rotation_together_are_all_packs(count: int, total: int) -> None:
    """Each pack is in one of them."""
    chosen = [
        pack for number in range(1, total + 1) for pack in choose_packs(Group(number, total), packs(count), _first)
    ]
    assert sorted(chosen) == sorted(packs(count))


@given(count=st.integers(1, 600), percent=st.floats(0.01, 100))
def test_a_share_is_that_share_of_the_packs(count: int, percent: float) -> None:
    """Rounded down, and at least one."""
    assert len(choose_packs(Share(percent), packs(count), _first)) == max(int(count * percent / 100), 1)


def test_a_size_is_about_that_size_and_never_more_than_all() -> None:
    """Of packs of about one size."""
    assert len(choose_packs(Size(10_500), packs(100), _first)) == 10
    assert len(choose_packs(Size(10**12), packs(100), _first)) == 100
    assert choose_packs(Share(50), {}, _first) == []


def _first(population: object, count: int) -> list[bytes]:
    assert isinstance(population, list)
    return population[:count]


def test_a_subset_reads_only_its_packs(filled: Path) -> None:
    """All groups of two together read every pack once."""
    reports = [checked(filled, CheckOptions(subset=Group(number, 2))) for number in (1, 2)]
    assert all(report.sound for report in reports)
    assert sum(report.packs_read for report in reports) == len(list(files(filled, FileKind.PACK)))
