"""A host that was taken over, with root, its credential and the password of its repository, against keeping at home.

It adds what it likes and removes nothing. Whatever it adds: what was good before stays as the policy says, comes back
whole with stock restic, and home goes on to forget and prune, or says why it does not.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from backup.errors import RepositoryError
from backup.format.gotime import Moment, format_moment
from backup.format.lock import Lock, encode_lock
from backup.format.node import FILE, FOLDER, Node, encode_node, encode_tree
from backup.format.pack import BlobKind, PackedBlob, encode_header
from backup.maintain.prune import PruneOptions, prune
from backup.maintain.prune_plan import PruneRules
from backup.maintain.walk import walk
from backup.repository.opening import open_repository
from backup.repository.saver import BlobSaver
from backup.stores.contract import FileKind
from backup.stores.local import LocalStore
from collector.backups.keeping.settings import KeepingOptions, KeepOptions
from kit.units import Duration
from tests.backup.restore.making import PASSWORD, run_restic
from tests.collector.backups.keeping.conftest import inside as inside
from tests.collector.backups.keeping.yard import DAY, NODE, Yard, lived, noise, yard
from tests.peers import every_restic

pytestmark = pytest.mark.usefixtures("inside")

POLICY = KeepOptions(last=3, daily=5, weekly=2)
OPTIONS = KeepingOptions(newest=2, hold=Duration(0))
LONG_AGO, FAR = -62_000_000_000, 250_000_000_000


@pytest.fixture(scope="module")
def good_days(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """Ten good days, the last of which was yesterday, and what time it is."""
    return lived(tmp_path_factory.mktemp("good"), 10, keep=POLICY, keeping=OPTIONS)


@pytest.fixture
def home(good_days: tuple[Path, float], tmp_path: Path) -> Iterator[Yard]:
    """After these days; now the host is taken over."""
    folder, now = good_days
    with yard(tmp_path / "home", like=folder, now=now, keep=POLICY, keeping=OPTIONS) as made:
        yield made


def contents(place: Path, name: str) -> dict[bytes, list[bytes] | None]:
    """All files of a snapshot, read and verified."""
    repository = open_repository(LocalStore(place), PASSWORD)
    root = repository.load_snapshot(name).root
    return {
        visited.path: [repository.load_blob(BlobKind.DATA, id) for id in visited.node.content or ()]
        for visited in walk(repository, root)
    }


def survives(home: Yard, good: set[str], folder: Path) -> None:
    """Fail unless these snapshots are there, restore whole, and the older restic restores one of them."""
    assert good <= home.snapshots()
    for name in good:
        assert contents(home.place, name)
    name = min(good)
    expected = sorted(b"".join(pieces or []) for pieces in contents(home.place, name).values())
    target = folder / "restored"
    run_restic(every_restic()[0], home.place, "restore", name, "--target", str(target), "--no-lock")
    assert sorted(file.read_bytes() for file in target.rglob("file*")) == expected


def forged(home: Yard, claims: list[tuple[BlobKind, bytes]], *more: bytes) -> tuple[str, list[PackedBlob]]:
    """A pack that claims to hold blobs and holds noise, and some more that are what they say."""
    body, blobs = b"", []
    for kind, id, plain in [(kind, id, noise(50)) for kind, id in claims] + [
        (BlobKind.DATA, name, content) for content in more for name in [_hash(content)]
    ]:
        sealed = home.repository.key.seal(plain)
        blobs.append(PackedBlob(kind, id, len(body), len(sealed), 0))
        body += sealed
    header = home.repository.key.seal(encode_header(blobs))
    return home.put(FileKind.PACK, body + header + len(header).to_bytes(4, "little")), blobs


def _hash(content: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(content).digest()


def claim(home: Yard, pack: str, blobs: list[PackedBlob]) -> None:
    """An index file that says so."""
    home.repository.save_index([(bytes.fromhex(pack), blobs)])
    home.receive()


def data_of(home: Yard, name: str) -> list[tuple[BlobKind, bytes]]:
    """All blobs of a snapshot."""
    repository = open_repository(LocalStore(home.place), PASSWORD)
    root = repository.load_snapshot(name).root
    found = [(BlobKind.TREE, root)]
    for visited in walk(repository, root):
        found += [(BlobKind.DATA, id) for id in visited.node.content or ()]
    return found


def test_a_flood_pushes_nothing_out(home: Yard, tmp_path: Path) -> None:
    """Dozens of snapshots that look as usual, on each of two days."""
    good = home.snapshots()
    tree = home.tree(*home.usual())
    for _ in range(2):
        for number in range(12):
            home.clock.now += 60
            home.send(tree=tree, username=str(number))
        home.keep()
        home.clock.now += DAY
    assert good <= home.snapshots()
    assert [(one.kind, one.stops) for one in home.alerts()] == [("flood", True)]
    home.acknowledge()
    home.keep()
    survives(home, set(sorted(good)[:1]) & home.snapshots() or {next(iter(good & home.snapshots()))}, tmp_path)


def test_odd_times_move_nothing_and_are_flagged(home: Yard) -> None:
    """The distant past, the distant future, and what `datetime` does not know."""
    good = home.snapshots()
    odd = [home.send(*home.usual(), at=at) for at in (LONG_AGO, 0, home.clock() + 2 * DAY, FAR)]
    home.clock.now += 60
    assert home.keep().outcome == "done"
    assert good | set(odd[1:]) <= home.snapshots()
    assert all("time" in home.flags(name) for name in odd)


def test_odd_names_paths_and_tags_are_groups_of_their_own_and_text(home: Yard) -> None:
    """They push nothing out of another group, and nothing of them steers a terminal."""
    good = home.snapshots()
    for number in range(3):
        for fields in (
            {"hostname": "web1\x1b[2J\n"},
            {"hostname": "x" * 100_000},
            {"paths": ("/srv", f"/{number}")},
            {"paths": tuple(f"/{each}" for each in range(5000))},
            {"hostname": "", "paths": (), "tags": ("keep", "../../etc")},
        ):
            home.send(*home.usual(), **fields)
    assert home.keep().outcome == "done"
    assert good <= home.snapshots()
    for group in home.plan().groups:
        assert len(group.group.hostname) <= 256 and group.group.hostname.isprintable()
        assert len(group.group.paths) <= 100


def test_empty_snapshots_each_day_take_no_place(home: Yard, tmp_path: Path) -> None:
    """Twelve days of them, in the place of good ones: nothing good goes until somebody has looked."""
    good = home.snapshots()
    for day in range(12):
        home.send(*[b"x"] * (day % 2))
        home.clock.now += DAY
    home.keep()
    assert good <= home.snapshots()
    assert "shrunken" in {one.kind for one in home.alerts()}
    home.acknowledge()
    home.keep()
    assert good & home.snapshots(), "empty ones were not released, so they take no place"
    survives(home, {max(good, key=lambda name: home.facts(name).received)}, tmp_path)


def test_all_files_encrypted_raises_an_alert(home: Yard) -> None:
    """Sizes and numbers are as usual, and everything is new."""
    good = home.snapshots()
    bad = home.send(*[noise(len(content)) for content in home.usual()])
    home.clock.now += 60
    assert home.keep().removed == ()
    assert home.flags(bad) == {"burst"}
    assert good <= home.snapshots()


def test_folders_that_refer_to_each_other_without_end_are_measured(home: Yard) -> None:
    """Two to the power of two hundred files, in two hundred folders."""
    with BlobSaver(home.repository) as saver:
        content = saver.save(BlobKind.DATA, b"x")
        nodes = [Node(name, FILE, **NODE, size=1 << 62, content=[content] * 3) for name in (b"a", b"b")]
        for _ in range(200):
            tree = saver.save(BlobKind.TREE, encode_tree([encode_node(node) for node in nodes]))
            nodes = [Node(name, FOLDER, 1 << 31 | 0o755, NODE["mtime"], subtree=tree) for name in (b"a", b"b")]
        saver.flush()
    giant = home.send(tree=tree)
    assert home.keep().outcome == "done"
    facts = home.facts(giant)
    assert facts.files == facts.bytes == 2**53


def half_a_tree(home: Yard) -> bytes:
    """A folder with a file whose data there is not."""
    with BlobSaver(home.repository) as saver:
        node = Node(b"file", FILE, **NODE, size=1, content=[os.urandom(32)])
        tree = saver.save(BlobKind.TREE, encode_tree([encode_node(node)]))
        saver.flush()
    return tree


def test_snapshots_that_are_none_do_not_stop_home(home: Yard, tmp_path: Path) -> None:
    """They are flagged, home prunes beside them, and a release removes them."""
    good = home.snapshots()
    seal = home.repository.key.seal
    treeless = {"time": format_moment(Moment(int(home.clock() * 1e9))), "hostname": "web1", "paths": ["/srv"]}
    bad = {
        home.put(FileKind.SNAPSHOT, b""),
        home.put(FileKind.SNAPSHOT, b"noise"),
        home.put(FileKind.SNAPSHOT, seal(noise(100))),
        home.put(FileKind.SNAPSHOT, seal(json.dumps({"time": "yesterday"}).encode())),
        home.put(FileKind.SNAPSHOT, seal(json.dumps(treeless).encode())),
        home.send(tree=os.urandom(32)),
        home.send(tree=half_a_tree(home)),
    }
    home.clock.now += DAY
    home.send(*home.usual())
    home.clock.now += 9 * DAY
    result = home.keep(always=True)
    assert (result.outcome, result.pruned) == ("done", True), result.message
    assert bad < home.snapshots()
    for name in bad:
        assert "broken" in home.flags(name)
        home.release(name)
    home.acknowledge()
    assert bad <= set(home.keep().removed)
    survives(home, {next(iter(good & home.snapshots()))}, tmp_path)
    assert "no errors were found" in run_restic(every_restic()[-1], home.place, "check", "--read-data")


def test_packs_that_are_garbage_go_with_the_next_prune(home: Yard, tmp_path: Path) -> None:
    """Nothing refers to them, and no key opens them."""
    good = home.snapshots()
    garbage = [home.put(FileKind.PACK, content) for content in (b"", b"x", noise(5000))]
    result = home.keep(always=True)
    assert result.outcome == "done", result.message
    assert not set(garbage) & home.packs()
    survives(home, good, tmp_path)


@pytest.mark.parametrize("kept_anyway", [False, True])
def test_a_later_pack_that_claims_good_data_does_not_take_its_place(
    home: Yard, tmp_path: Path, kept_anyway: bool
) -> None:
    """A prune that took its copy for the one that counts would lose the good ones: the first received counts."""
    good = home.snapshots()
    # Of data alone: a pack that mixes it with trees is always written anew, and each blob read.
    claims = [(kind, id) for name in good for kind, id in data_of(home, name) if kind is BlobKind.DATA]
    home.clock.now += 3600
    own = noise(100_000)
    pack, blobs = forged(home, list(dict.fromkeys(claims)), *[own] * kept_anyway)
    claim(home, pack, blobs)
    home.send(own, *home.usual())
    twin = tmp_path / "twin"
    shutil.copytree(home.place, twin)
    victim = open_repository(LocalStore(twin), PASSWORD)
    with victim.lock(exclusive=True):
        prune(victim, PruneOptions(PruneRules(rank=lambda one: one.hex() != pack)))
    with pytest.raises(RepositoryError):
        contents(twin, min(good))
    home.clock.now += 60
    result = home.keep(always=True)
    assert result.outcome == "done", result.message
    assert result.pruned
    survives(home, good & home.snapshots(), tmp_path)
    if not kept_anyway:
        assert pack not in home.packs()


def test_what_home_wrote_anew_outranks_what_hosts_claim_later(home: Yard, tmp_path: Path) -> None:
    """After home's own prune has moved good data into packs of its own."""
    home.clock.now += DAY
    home.days(5)
    home.keep(always=True)
    good = home.snapshots()
    claims = [blob for name in good for blob in data_of(home, name)]
    own = noise(50_000)
    pack, blobs = forged(home, list(dict.fromkeys(claims)), own)
    claim(home, pack, blobs)
    home.send(own, *home.usual())
    home.acknowledge()
    assert home.keep(always=True).outcome == "done"
    survives(home, good & home.snapshots(), tmp_path)


def test_an_index_that_lies_about_good_packs_is_corrected_by_the_packs_themselves(home: Yard, tmp_path: Path) -> None:
    """Other blobs in them, other offsets, and packs that are not there."""
    good = home.snapshots()
    repository = open_repository(LocalStore(home.place), PASSWORD)
    lies = []
    for kind, id in dict.fromkeys(blob for name in good for blob in data_of(home, name)):
        place = repository.blobs.find(kind, id)
        assert place is not None
        lies.append((place.pack, [PackedBlob(kind, id, place.offset + 7, place.length, place.plain_length)]))
        lies.append((place.pack, [PackedBlob(BlobKind.DATA, os.urandom(32), place.offset, place.length, 0)]))
        lies.append((os.urandom(32), [PackedBlob(kind, id, 0, place.length, place.plain_length)]))
    home.repository.save_index(lies)
    home.receive()
    home.clock.now += DAY
    result = home.keep(always=True)
    assert result.outcome == "done", result.message
    survives(home, good & home.snapshots(), tmp_path)
    assert "no errors were found" in run_restic(every_restic()[-1], home.place, "check", "--read-data")


def test_an_index_that_claims_to_supersede_the_others_removes_none(home: Yard, tmp_path: Path) -> None:
    """As old versions of restic had it; and one that nobody can open takes nothing with it."""
    good = home.snapshots()
    others = [name for name, _ in LocalStore(home.place).list(FileKind.INDEX)]
    home.put(FileKind.INDEX, home.repository.key.seal(json.dumps({"supersedes": others, "packs": []}).encode()))
    home.put(FileKind.INDEX, noise(500))
    home.put(FileKind.INDEX, home.repository.key.seal(b'{"packs": 7}'))
    result = home.keep(always=True)
    assert result.outcome == "done", result.message
    survives(home, good, tmp_path)


def test_a_pack_with_a_lying_index_and_no_header_does_not_stop_home(home: Yard, tmp_path: Path) -> None:
    """It never was a pack: the index need not have it."""
    good = home.snapshots()
    pack = home.put(FileKind.PACK, noise(3000))
    claims = data_of(home, min(good))
    claim(home, pack, [PackedBlob(kind, id, 100 * at, 100, 0) for at, (kind, id) in enumerate(claims)])
    home.clock.now += 60
    result = home.keep(always=True)
    assert result.outcome == "done", result.message
    assert pack not in home.packs()
    survives(home, good & home.snapshots(), tmp_path)


def test_locks_left_behind_block_home_for_half_an_hour_at_most(home: Yard) -> None:
    """By their receipt, whatever time they claim; also those that nobody can read."""
    for age, exclusive in ((-(10**9), False), (0, True), (10**10, True)):
        moment = Moment(int((home.clock() + age) * 1e9))
        lock = Lock(moment, exclusive, "elsewhere", "root", 1)
        home.put(FileKind.LOCK, home.repository.key.seal(encode_lock(lock)))
    home.put(FileKind.LOCK, noise(100))
    home.clock.now += 1700
    waiting = home.keep(always=True)
    assert waiting.outcome == "waiting", waiting.message
    home.clock.now += 200
    assert home.keep(always=True).outcome == "done"
    assert not list(LocalStore(home.place).list(FileKind.LOCK))
    assert home.used() == home.bytes_there()


@pytest.mark.parametrize("step", [-3600, 7200])
def test_when_homes_clock_is_set_a_backup_under_way_is_waited_for(home: Yard, step: int) -> None:
    """Back or forward: nobody prunes beside it, until its lock was not renewed for half an hour."""
    true = home.clock() + step
    lock = Lock(Moment(int(true * 1e9)), False, "elsewhere", "root", 1)
    home.put(FileKind.LOCK, home.repository.key.seal(encode_lock(lock)))
    home.clock.now = true + 60
    waiting = home.keep(always=True)
    assert waiting.outcome == "waiting", waiting.message
    home.clock.now += 1900
    assert home.keep(always=True).outcome == "done"


def test_a_host_that_holds_locks_for_ever_is_told(home: Yard) -> None:
    """It keeps home from pruning, which costs room and no data; after a day somebody hears of it, and who it is."""
    begun = home.clock.now
    for hour in (0, 12, 24, 25):
        home.clock.now += hour * 3600 - (home.clock.now - begun)
        home.put(FileKind.LOCK, home.repository.key.seal(b"%d" % hour))
        assert home.keep(always=True).outcome == "waiting"
        assert bool(home.alerts()) is (hour > 24)
    home.clock.now += 3600
    (alert,) = home.alerts()
    assert (alert.kind, alert.stops) == ("locked", False) and alert.message.startswith("web1 kept it locked")
    assert home.keep(always=True).outcome == "done"
    assert not home.alerts()
