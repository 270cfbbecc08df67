"""What is kept on the host's own disk, and that nothing there is trusted."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from backup.stores.cache import CachedStore, folder_of_caches
from backup.stores.caches import is_own
from backup.stores.contract import FileKind, SpooledFile, StoreError
from backup.stores.memory import MemoryStore
from backup.stores.spool import ABANDONED, PREFIX
from tests.agent.tmpfs import fill, small_disk
from tests.backup.faulty import Fault, FaultyStore, Killed
from tests.require import require_root

CONTENT = bytes(range(256)) * 100
NAME = hashlib.sha256(CONTENT).hexdigest()
REPOSITORY = "ab" * 32


class Place:
    """A store that counts what is asked of it, with a cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memory = MemoryStore()
        self.counting = FaultyStore(self.memory)
        self.cache = self.another()

    def another(self) -> CachedStore:
        """As the next command has it."""
        cache = CachedStore(self.counting, self.folder, REPOSITORY)
        cache.tell_trees(lambda name: True)
        return cache

    def kept(self, kind: FileKind) -> Path:
        return self.folder / REPOSITORY / kind.value / NAME

    @property
    def loads(self) -> int:
        return sum(operation == "load" for operation, _ in self.counting.calls)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "caches")


@pytest.mark.parametrize("kind", [FileKind.INDEX, FileKind.SNAPSHOT, FileKind.PACK])
def test_what_was_read_once_is_not_fetched_again(place: Place, kind: FileKind) -> None:
    """By this command and the next, whole or in part."""
    place.memory.save(kind, NAME, CONTENT)
    assert place.cache.load(kind, NAME, 100, 50) == CONTENT[100:150]
    assert place.cache.load(kind, NAME) == CONTENT
    assert place.another().load(kind, NAME, 300) == CONTENT[300:]
    assert place.loads == 1


@pytest.mark.parametrize("kind", [FileKind.INDEX, FileKind.SNAPSHOT])
def test_what_was_saved_is_kept(place: Place, kind: FileKind) -> None:
    """The next command need not fetch what this one made."""
    place.cache.save(kind, NAME, CONTENT)
    assert place.another().load(kind, NAME) == CONTENT
    assert place.loads == 0


@pytest.mark.parametrize("trees", [True, False])
def test_a_pack_of_trees_is_kept_when_it_is_saved(place: Place, tmp_path: Path, trees: bool) -> None:
    """One of data is not: it would fill the disk with the backup itself."""
    (tmp_path / "pack").write_bytes(CONTENT)
    place.cache.save(FileKind.PACK, NAME, SpooledFile(tmp_path / "pack", len(CONTENT), trees=trees))
    assert place.kept(FileKind.PACK).exists() == trees
    assert place.memory.load(FileKind.PACK, NAME) == CONTENT


@pytest.mark.parametrize("kind", [FileKind.KEY, FileKind.LOCK, FileKind.PACK])
def test_nothing_else_is_kept(place: Place, kind: FileKind) -> None:
    """Keys may be revoked, locks change, and packs hold data unless they are said to hold trees."""
    place.cache.tell_trees(lambda name: False)
    place.memory.save(kind, NAME, CONTENT)
    for _ in range(2):
        assert place.cache.load(kind, NAME) == CONTENT
    assert place.loads == 2


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "longer"])
def test_damage_is_noticed_and_fetched_again(place: Place, damage: str) -> None:
    """By the hash that is its name, whatever a kill or a bad disk made of it."""
    place.cache.save(FileKind.INDEX, NAME, CONTENT)
    path = place.kept(FileKind.INDEX)
    wrong = {
        "flipped": b"\xff" + CONTENT[1:], "cut": CONTENT[:-1], "empty": b"", "longer": CONTENT + b"x",
    }  # fmt: skip
    path.write_bytes(wrong[damage])
    cache = place.another()
    assert cache.load(FileKind.INDEX, NAME, 5, 10) == CONTENT[5:15]
    assert cache.load(FileKind.INDEX, NAME) == CONTENT
    assert place.loads == 1
    assert path.read_bytes() == CONTENT


def test_damage_behind_the_back_of_a_running_command_is_noticed(place: Place) -> None:
    """What was proven once is looked at again when the file is another."""
    place.cache.save(FileKind.INDEX, NAME, CONTENT)
    assert place.cache.load(FileKind.INDEX, NAME) == CONTENT
    path = place.kept(FileKind.INDEX)
    path.unlink()
    path.write_bytes(b"?" * len(CONTENT))
    assert place.cache.load(FileKind.INDEX, NAME) == CONTENT


def test_wrong_bytes_of_the_store_are_not_kept(place: Place) -> None:
    """They go to who asked, who finds out, and the next try asks the store again."""
    place.memory.save(FileKind.INDEX, NAME, b"?" * len(CONTENT))
    assert place.cache.load(FileKind.INDEX, NAME) == b"?" * len(CONTENT)
    assert not place.kept(FileKind.INDEX).exists()
    place.memory.save(FileKind.INDEX, NAME, CONTENT)
    assert place.cache.load(FileKind.INDEX, NAME) == CONTENT


def test_what_the_store_has_no_longer_goes_from_the_cache(place: Place) -> None:
    """When it is listed, when it is removed; half a list removes nothing."""
    other = hashlib.sha256(b"other").hexdigest()
    for name, content in ((NAME, CONTENT), (other, b"other")):
        place.cache.save(FileKind.INDEX, name, content)
    next(place.cache.list(FileKind.INDEX))
    assert place.kept(FileKind.INDEX).exists()
    place.memory.remove(FileKind.INDEX, NAME)
    assert dict(place.cache.list(FileKind.INDEX)) == {other: 5}
    assert not place.kept(FileKind.INDEX).exists()
    place.cache.remove(FileKind.INDEX, other)
    assert list((place.folder / REPOSITORY / "index").iterdir()) == []


def test_a_list_that_fails_removes_nothing(place: Place) -> None:
    """An unreachable store is not an empty one."""
    place.cache.save(FileKind.INDEX, NAME, CONTENT)
    place.counting.fault = Fault("list", 1, "failing once")
    with pytest.raises(StoreError):
        list(place.cache.list(FileKind.INDEX))
    assert place.kept(FileKind.INDEX).exists()


@pytest.mark.parametrize("what", ["killed before", "failing once"])
def test_what_was_not_saved_is_not_kept(place: Place, what: str) -> None:
    """Else a snapshot that is not in the repository would be read."""
    place.counting.fault = Fault("save", 1, what)
    with pytest.raises((StoreError, Killed)):
        place.cache.save(FileKind.SNAPSHOT, NAME, CONTENT)
    assert [path for path in place.folder.rglob("*") if path.is_file() and path.name != "CACHEDIR.TAG"] == []


def test_what_a_killed_process_left_goes(place: Place) -> None:
    """Temp files of a kill -9, once they are old."""
    left = place.folder / REPOSITORY / f"{PREFIX}left"
    left.write_bytes(b"x")
    os.utime(left, (0, left.stat().st_mtime - ABANDONED - 60))
    place.another()
    assert not left.exists()


def test_nobody_else_reads_it(place: Place) -> None:
    """Folders are 0700, files 0600; backups that leave caches out leave this one out."""
    place.cache.save(FileKind.INDEX, NAME, CONTENT)
    for path in (place.folder, *place.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert (place.folder / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55")


def test_a_link_in_the_cache_is_not_followed(place: Place, tmp_path: Path) -> None:
    """Neither read from nor written to."""
    victim = tmp_path / "victim"
    victim.write_bytes(CONTENT)
    place.kept(FileKind.INDEX).symlink_to(victim)
    place.memory.save(FileKind.INDEX, NAME, CONTENT)
    assert place.cache.load(FileKind.INDEX, NAME) == CONTENT
    assert place.loads == 1
    assert not place.kept(FileKind.INDEX).is_symlink()


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    """A file is where its folder should be; a disk is full."""
    (tmp_path / "caches").write_bytes(b"a file")
    place = Place(tmp_path / "caches")
    place.cache.save(FileKind.INDEX, NAME, CONTENT)
    assert place.cache.load(FileKind.INDEX, NAME) == CONTENT
    require_root()
    with small_disk(tmp_path / "disk", size="64k") as disk:
        place = Place(disk / "caches")
        fill(disk / "filler")
        place.cache.save(FileKind.INDEX, NAME, CONTENT)
        assert place.cache.load(FileKind.INDEX, NAME) == CONTENT
        assert [path.name for path in (disk / "caches").rglob(f"{PREFIX}*")] == []


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"HOME": "/h"}, "/h/.cache/hostward-backup"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/x/hostward-backup"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "not/absolute"}, "/h/.cache/hostward-backup"),
        ({"HOME": "/h", "CACHE_DIRECTORY": "/var/cache/hostward:/other"}, "/var/cache/hostward/hostward-backup"),
        ({"HOME": "/h", "CACHE_DIRECTORY": "/c", "RESTIC_CACHE_DIR": "/r"}, "/r/hostward-backup"),
    ],
)
def test_where_caches_are(environment: dict[str, str], folder: str) -> None:
    """What a person names comes first, then systemd's, then XDG's; never among restic's own, which are laid out
    otherwise."""
    assert folder_of_caches(environment) == Path(folder)


def test_where_caches_are_of_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container: neither the environment nor the list of users knows one."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert folder_of_caches({}) == Path("/.cache/hostward-backup")


def test_a_folder_that_others_can_write_to_is_not_ones_own(tmp_path: Path) -> None:
    """Nor one that a link leads to, or that lies where another could be put in its place."""
    require_root()
    folder = tmp_path / "above" / "caches"
    assert is_own(folder)
    folder.mkdir(parents=True, mode=0o700)
    assert is_own(folder)
    folder.chmod(0o777)
    assert not is_own(folder)
    folder.chmod(0o700)
    os.chown(folder, 54321, 54321)
    assert not is_own(folder)
    os.chown(folder, 0, 0)
    folder.parent.chmod(0o777)
    assert not is_own(folder)
    folder.parent.chmod(0o1777)
    assert is_own(folder)
    (tmp_path / "link").symlink_to(folder)
    assert not is_own(tmp_path / "link")
