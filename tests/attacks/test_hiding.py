"""What a host adds to its repository at home so that nobody finds, or believes in, what was there before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from backup.format.node import FILE, Node, encode_node, encode_tree
from backup.format.pack import BlobKind, PackedBlob
from backup.repository.opening import open_repository
from backup.repository.repository import Repository
from backup.repository.saver import BlobSaver
from backup.stores.contract import FileKind
from backup.stores.local import LocalStore
from collector.backups.browse import look
from collector.backups.browse.messages import MOST_SNAPSHOTS
from collector.backups.browse.process import LONGEST_LINE
from collector.backups.keeping import books, work
from collector.backups.keeping.measure import Measure, Measured
from collector.backups.keeping.settings import KeepingOptions, KeepOptions
from kit.units import Duration
from tests.backup.restore.making import PASSWORD
from tests.collector.backups.keeping.conftest import inside as inside
from tests.collector.backups.keeping.yard import DAY, NODE, Yard, lived, noise, yard

pytestmark = pytest.mark.usefixtures("inside")


POLICY = KeepOptions(daily=5)
OPTIONS = KeepingOptions(hold=Duration(0))


@pytest.fixture(scope="module")
def good_days(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """Two of them, and what time it is then."""
    return lived(tmp_path_factory.mktemp("good"), 2, keep=POLICY, keeping=OPTIONS)


@pytest.fixture
def home(good_days: tuple[Path, float], tmp_path: Path) -> Iterator[Yard]:
    """After these days."""
    folder, now = good_days
    with yard(tmp_path / "home", like=folder, now=now, keep=POLICY, keeping=OPTIONS) as made:
        yield made


def opened(home: Yard) -> Repository:
    """As somebody comes who knows the password."""
    return open_repository(LocalStore(home.place), PASSWORD)


def _tree(home: Yard, *content: bytes) -> bytes:
    """A folder with a file of these blobs."""
    with BlobSaver(home.repository) as saver:
        node = Node(b"file", FILE, mtime=str(NODE["mtime"]), size=1, content=list(content))
        tree = saver.save(BlobKind.TREE, encode_tree([encode_node(node)]))
        saver.flush()
    return tree


@pytest.mark.parametrize("what", ["tree elsewhere", "data elsewhere", "tree in a good pack", "data in a good pack"])
def test_an_index_that_claims_what_is_nowhere_does_not_stop_home(home: Yard, what: str) -> None:
    """Nor what refers to it: that is flagged, and home goes on with the rest."""
    good = home.snapshots()
    kind, missing = BlobKind.TREE if "tree" in what else BlobKind.DATA, os.urandom(32)
    pack = bytes.fromhex(min(home.packs())) if "good" in what else os.urandom(32)
    home.repository.save_index([(pack, [PackedBlob(kind, missing, 0, 100, 0)])])
    bad = home.send(tree=missing if kind is BlobKind.TREE else _tree(home, missing))
    home.clock.now += DAY
    later = home.send(*home.usual())
    result = home.keep(always=True)
    assert (result.outcome, result.pruned) == ("done", True), result.message
    assert home.flags(bad) == {"broken"}
    assert not home.flags(later)
    assert good | {bad, later} <= home.snapshots()
    assert not home.alerts()


def test_an_index_that_is_none_goes_by_itself_and_hides_nothing_meanwhile(home: Yard) -> None:
    """Also where nothing else is to be removed: restic stops at it, and so would others who restore."""
    name = min(home.snapshots())
    for content in (noise(100), home.repository.key.seal(b'{"packs": 7}')):
        home.put(FileKind.INDEX, content)
    assert look.folder(opened(home), name, b"/", 0).total == 6
    assert look.content_of(opened(home), name, b"/file0000")[0].size == 300_000
    result = home.keep()
    assert (result.outcome, result.pruned) == ("done", True), result.message
    opened(home).load_index()


def test_an_index_of_what_is_not_there_takes_no_memory(home: Yard) -> None:
    """A few bytes of it may name millions of blobs."""
    claims = [PackedBlob(BlobKind.DATA, number.to_bytes(32), 0, 100, 0) for number in range(1000)]
    packs = [os.urandom(32), bytes.fromhex(min(home.packs()))]
    home.repository.save_index([(pack, claims) for pack in packs])
    home.receive()
    repository = opened(home)
    look.folder(repository, min(home.snapshots()), b"/", 0)
    assert len(repository.blobs) < 100


def test_what_home_has_no_memory_to_measure_is_not_taken_for_broken(
    home: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be whole: somebody who releases it does not have it removed. The next ones are measured as ever."""
    good, greedy = home.send(*home.usual()), home.tree(b"greedy")
    home.clock.now += DAY
    bad = home.send(tree=greedy)
    home.clock.now += DAY
    later = home.send(*home.usual())
    add = Measure.add

    def short(self: Measure, tree: bytes | None) -> Measured:
        if tree == greedy:
            raise MemoryError
        return add(self, tree)

    monkeypatch.setattr(Measure, "add", short)
    assert home.keep().outcome == "done"
    assert home.flags(bad) == {"large"}
    assert home.facts(good).files == home.facts(later).files == 6
    home.release(bad)
    assert home.keep(always=True).outcome == "done"
    assert {good, bad, later} <= home.snapshots()


def test_snapshot_files_of_any_size_are_not_held_in_memory(home: Yard) -> None:
    """The list of an operator has the good ones, in words of bounded length."""
    good = home.snapshots()
    for number in range(3):
        home.send(*home.usual(), paths=tuple(f"/{number}/{each}" for each in range(50_000)), hostname="x" * 100_000)
    listed = look.snapshots(opened(home), 0)
    assert good <= {line.id for line in listed.snapshots}
    assert all(len(line.paths) <= 20 and len(line.hostname) <= 256 for line in listed.snapshots)


def test_no_number_of_snapshots_hides_the_others_from_an_operator(
    home: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They claim to be newer, and are full of words: the good ones are on another page, and each page fits."""
    good = home.snapshots()
    for number in range(4):
        words = tuple(f"{number}{each}" + "\U0001f600" * 300 for each in range(30))
        home.send(*home.usual(), at=home.clock() + number * DAY, hostname=words[0], paths=words, tags=words)
    monkeypatch.setattr(look, "MOST_SNAPSHOTS", 4)
    first, second = look.snapshots(opened(home), 0), look.snapshots(opened(home), 4)
    assert {line.id for line in second.snapshots} == good
    assert first.total == second.total == 6
    longest = max(len(msgspec.json.encode(line)) for line in first.snapshots)
    assert longest * MOST_SNAPSHOTS < LONGEST_LINE


def test_what_snapshots_say_of_themselves_does_not_fill_homes_memory(
    home: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of thousands of paths a few and a hash are kept; what is too much for one night waits for the next."""
    paths = [tuple(f"/srv/{each}" + "x" * 200 for each in (*range(50), last)) for last in (1000, 1001)]
    sent = []
    for each in (*paths, paths[0]):
        sent.append(home.send(*home.usual(), paths=each))
        home.clock.now += 60
    monkeypatch.setattr(work, "MOST_SAID", 2000)
    assert home.keep().outcome == "done"
    with home.database.read() as connection:
        assert [one.name for one in books.read(connection, home.name).new] == sent[2:]
    assert home.keep().outcome == "done"
    groups = [home.facts(name).group for name in sent]
    assert groups[0] == groups[2] != groups[1]
    assert all(sum(map(len, group.paths)) < 1100 for group in groups)
