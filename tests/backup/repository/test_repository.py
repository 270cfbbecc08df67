"""Repositories that restic opens, and opening those that it made."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backup.errors import DamagedError, LockedError, NoRepositoryError, RepositoryError, WrongPasswordError
from backup.format.gotime import Moment
from backup.format.keyfile import Cost
from backup.format.pack import BlobKind
from backup.format.snapshot import Snapshot
from backup.maintain.contents import PackContents
from backup.repository import keys
from backup.repository.opening import open_repository
from backup.repository.repository import Repository
from backup.stores.contract import FileExistsStoreError, FileKind, SpooledFile, StoreError
from backup.stores.local import LocalStore
from backup.stores.memory import MemoryStore
from tests.peers import every_restic, newest_restic

PASSWORD = b"a pass\xc3\xa4word"
CHEAP = Cost(1024, 1, 1)
VERSIONS = ["debian", "newest"]


def restic(program: Path, repository: Path, *words: str, code: int = 0, password: bytes = PASSWORD) -> str:
    """What restic printed."""
    done = subprocess.run(
        [program, "--no-cache", "-r", repository, *words],
        env={**os.environb, b"RESTIC_PASSWORD": password},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.fixture(params=VERSIONS, scope="session")
def program(request: pytest.FixtureRequest) -> Path:
    """Each version of restic."""
    return dict(zip(VERSIONS, every_restic(), strict=True))[request.param]


@pytest.fixture(scope="session")
def theirs(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that restic made, with two snapshots of a folder of three files. Not to be changed."""
    place = tmp_path_factory.mktemp("theirs")
    source = place / "source"
    source.mkdir()
    (source / "text").write_bytes(b"a line of text\n" * 1000)
    (source / "random").write_bytes(os.urandom(100_000))
    (source / "empty").touch()
    made = place / "repository"
    restic(program, made, "init")
    restic(program, made, "backup", str(source), "--tag", "first", "--host", "one")
    (source / "more").write_bytes(b"more")
    restic(program, made, "backup", str(source), "--host", "one")
    return made


def walk(repository: Repository, id: bytes, path: bytes = b"") -> dict[bytes, bytes]:
    """Path to content of all files below a tree."""
    found = {}
    for node in repository.load_tree(id):
        if node.subtree is not None:
            found.update(walk(repository, node.subtree, path + b"/" + node.name))
        elif node.content is not None:
            content = [repository.load_blob(BlobKind.DATA, id) for id in node.content]
            found[path + b"/" + node.name] = b"".join(content)
    return found


def test_what_restic_wrote_reads_here(theirs: Path) -> None:
    """Every snapshot, with the content of every file."""
    repository = open_repository(LocalStore(theirs), PASSWORD)
    first, second = repository.snapshots()
    assert (first.hostname, first.tags, second.tags) == ("one", ("first",), ())
    assert second.parent == first.id
    source = theirs.parent / "source"
    assert first.paths == (str(source),)
    assert second.tree is not None
    expected = {os.fsencode(file): file.read_bytes() for file in source.iterdir()}
    assert walk(repository, second.tree) == expected
    assert first.tree is not None
    assert os.fsencode(source / "more") not in walk(repository, first.tree)


def test_a_pack_tells_what_the_index_tells(theirs: Path) -> None:
    """By its own header."""
    repository = open_repository(LocalStore(theirs), PASSWORD)
    packs = PackContents(repository.blobs)
    assert len(list(packs)) == 4
    for pack in packs:
        size = repository.store.size(FileKind.PACK, pack.hex())
        assert repository.read_pack_header(pack, size) == packs.blobs(pack)


def test_restic_opens_what_is_made_here(program: Path, tmp_path: Path) -> None:
    """And works in it: its chunker takes our polynomial."""
    place = tmp_path / "repository"
    made = Repository.create(LocalStore(place), PASSWORD, cost=CHEAP)
    config = json.loads(restic(program, place, "cat", "config"))
    assert config == {"version": 2, "id": made.config.id, "chunker_polynomial": made.config.chunker_polynomial}
    (tmp_path / "file").write_bytes(os.urandom(3 << 20))
    restic(program, place, "backup", str(tmp_path / "file"))
    restic(program, place, "check", "--read-data")
    (snapshot,) = open_repository(LocalStore(place), PASSWORD).snapshots()
    assert snapshot.tree is not None
    assert list(walk(made, snapshot.tree).values()) == [(tmp_path / "file").read_bytes()]


def test_passwords_are_added_and_removed_from_both_sides(tmp_path: Path) -> None:
    """Each opens the same master key; the one in use stays."""
    restic_program = newest_restic()
    place = tmp_path / "repository"
    store = LocalStore(place)
    repository = Repository.create(store, PASSWORD, cost=CHEAP)
    added = keys.add_key(store, repository.key, b"second", cost=CHEAP, username="me", hostname="here")
    (tmp_path / "third").write_text("third\n")
    restic(restic_program, place, "key", "add", "--new-password-file", str(tmp_path / "third"), password=b"second")
    assert open_repository(store, b"third").key == repository.key
    listed: list[dict[str, Any]] = json.loads(restic(restic_program, place, "key", "list", "--json"))
    assert {"userName": "me", "hostName": "here"}.items() <= next(
        key for key in listed if added.startswith(key["id"])
    ).items()
    assert {name for name, _ in keys.read_keys(store, unexpected)} >= {added, repository.key_name}
    with pytest.raises(RepositoryError, match="is the one in use"):
        keys.remove_key(store, repository.key_name, current=repository.key_name)
    keys.remove_key(store, added, current=repository.key_name)
    with pytest.raises(WrongPasswordError, match="none of its 2 keys opens"):
        open_repository(store, b"second")
    restic(restic_program, place, "cat", "config", password=b"second", code=12)


def test_a_hint_spares_trying_other_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try costs a third of a second or more."""
    store = MemoryStore()
    repository = Repository.create(store, b"0", cost=CHEAP)
    added = [keys.add_key(store, repository.key, b"%d" % number, cost=CHEAP) for number in (1, 2, 3)]
    tried: list[bytes] = []
    derive = keys.open_key_file
    monkeypatch.setattr(keys, "open_key_file", lambda file, word: tried.append(word) or derive(file, word))
    assert open_repository(store, b"2", key_hint=added[1][:10]).key_name == added[1]
    assert len(tried) == 1


def test_a_place_without_a_repository_is_named(tmp_path: Path) -> None:
    """With what may be wrong, and no word of `init`: a disk may not be mounted. Its exit code is restic's."""
    said = f"there is no repository in {tmp_path}: is the place right, and what it lies on mounted?"
    with pytest.raises(NoRepositoryError, match=re.escape(said)) as raised:
        open_repository(LocalStore(tmp_path), PASSWORD)
    assert raised.value.exit_code == 10
    assert list(tmp_path.iterdir()) == []


def test_a_repository_is_not_made_over_another(tmp_path: Path) -> None:
    """Nor over the keys of one whose config is lost: that would end all hope for it."""
    store = LocalStore(tmp_path / "repository")
    Repository.create(store, PASSWORD, cost=CHEAP)
    before = sorted((tmp_path / "repository").rglob("*"))
    with pytest.raises(RepositoryError, match="already"):
        Repository.create(store, b"other", cost=CHEAP)
    (tmp_path / "repository/config").unlink()
    with pytest.raises(RepositoryError, match="no config"):
        Repository.create(store, b"other", cost=CHEAP)
    assert len(before) - len(sorted((tmp_path / "repository").rglob("*"))) == 1


def test_of_two_that_make_a_repository_at_once_one_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other takes its key back: it fits a config that was never written, though its password is the same."""
    store = MemoryStore()
    save = store.save

    def save_after_another(kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        if kind is FileKind.CONFIG:
            monkeypatch.undo()
            other = MemoryStore()
            Repository.create(other, PASSWORD, cost=CHEAP)
            for each in (FileKind.KEY, FileKind.CONFIG):
                for found, _ in other.list(each):
                    store.save(each, found, other.load(each, found))
        save(kind, name, content)

    monkeypatch.setattr(store, "save", save_after_another)
    with pytest.raises(FileExistsStoreError):
        Repository.create(store, PASSWORD, cost=CHEAP)
    assert len([*store.list(FileKind.KEY)]) == 1
    open_repository(store, PASSWORD)


def test_a_key_of_another_repository_hides_none_that_fits() -> None:
    """Its password may be the same, and its name come first."""
    store, other = MemoryStore(), MemoryStore()
    Repository.create(store, PASSWORD, cost=CHEAP)
    Repository.create(other, PASSWORD, cost=CHEAP)
    ((foreign, _),) = other.list(FileKind.KEY)
    store.save(FileKind.KEY, foreign, other.load(FileKind.KEY, foreign))
    assert open_repository(store, PASSWORD, key_hint=foreign).key_name != foreign
    for name, _ in [*store.list(FileKind.KEY)]:
        if name != foreign:
            store.remove(FileKind.KEY, name)
    with pytest.raises(DamagedError, match="does not open with the repository's key"):
        open_repository(store, PASSWORD)


def unexpected(name: str, error: DamagedError) -> None:
    pytest.fail(str(error))


def test_a_key_file_that_is_damaged_or_gone_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is damaged is told; what somebody removes meanwhile is not."""
    store = MemoryStore()
    repository = Repository.create(store, PASSWORD, cost=CHEAP)
    gone = keys.add_key(store, repository.key, b"second", cost=CHEAP)
    store.save(FileKind.KEY, "00" * 32, b"rubbish")
    store.save(FileKind.KEY, hashlib.sha256(b"{}").hexdigest(), b"{}")
    listed = [*store.list(FileKind.KEY)]
    monkeypatch.setattr(store, "list", lambda kind: iter(listed))
    store.remove(FileKind.KEY, gone)
    told: dict[str, str] = {}
    found = keys.read_keys(store, lambda name, error: told.update({name: str(error)}))
    assert [name for name, _ in found] == [repository.key_name]
    assert told.keys() == {"00" * 32, hashlib.sha256(b"{}").hexdigest()}


@pytest.mark.parametrize("when", ["key saved", "config begun", "config saved"])
def test_what_is_ended_while_it_makes_a_repository_leaves_no_key_that_fits_nothing(
    monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Else it could not be made again; but the key of a config that is there stays."""
    store = MemoryStore()
    save = store.save

    def ended(kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        if when != "config begun" or kind is not FileKind.CONFIG:
            save(kind, name, content)
        if when == "key saved" or kind is FileKind.CONFIG:
            raise KeyboardInterrupt

    monkeypatch.setattr(store, "save", ended)
    with pytest.raises(KeyboardInterrupt):
        Repository.create(store, PASSWORD, cost=CHEAP)
    monkeypatch.undo()
    if when != "config saved":
        Repository.create(store, PASSWORD, cost=CHEAP)
    open_repository(store, PASSWORD)


def test_the_last_key_stays() -> None:
    """Also where somebody else removed the one in use before this one was locked out."""
    store = MemoryStore()
    Repository.create(store, PASSWORD, cost=CHEAP)
    first = open_repository(store, PASSWORD)
    second = keys.add_key(store, first.key, b"second", cost=CHEAP)
    keys.remove_key(store, first.key_name, current=second)
    with pytest.raises(RepositoryError, match="was removed meanwhile"):
        keys.remove_key(store, second, current=first.key_name)
    open_repository(store, b"second")


@pytest.mark.parametrize("kind", ["snapshots", "index", "keys", "data", "config"])
def test_a_flipped_bit_is_found_and_named(tmp_path: Path, theirs: Path, kind: str) -> None:
    """In any file of a repository."""
    place = tmp_path / "repository"
    subprocess.run(["cp", "-r", theirs, place], check=True)
    victims = [place / "config"] if kind == "config" else sorted(f for f in (place / kind).rglob("*") if f.is_file())
    for victim in victims:
        content = bytearray(victim.read_bytes())
        content[len(content) // 3] ^= 1
        victim.chmod(0o600)
        victim.write_bytes(content)
    named = "config" if kind == "config" else ""
    with pytest.raises((DamagedError, WrongPasswordError)) as raised:
        repository = open_repository(LocalStore(place), PASSWORD)
        for snapshot in repository.snapshots():
            assert snapshot.tree is not None
            walk(repository, snapshot.tree)
    assert named in str(raised.value) or any(victim.name[:8] in str(raised.value) for victim in victims)


def test_what_one_pack_lost_another_may_have(tmp_path: Path, theirs: Path) -> None:
    """A blob that two backups stored at once is read from where it is sound."""
    place = tmp_path / "repository"
    subprocess.run(["cp", "-r", theirs, place], check=True)
    repository = open_repository(LocalStore(place), PASSWORD)
    kind, id, first = next(iter(repository.blobs))
    content = repository.load_blob(kind, id)
    second = hashlib.sha256(b"copy").digest()
    (place / "data" / second.hex()[:2] / second.hex()).write_bytes(
        (place / "data" / first.pack.hex()[:2] / first.pack.hex()).read_bytes()
    )
    blobs = [blob for blob in PackContents(repository.blobs).blobs(first.pack) if blob.id == id]
    repository.save_index([(second, blobs)])
    (place / "data" / first.pack.hex()[:2] / first.pack.hex()).unlink()
    again = open_repository(LocalStore(place), PASSWORD)
    assert len(list(again.blobs.find_all(kind, id))) == 2
    assert again.load_blob(kind, id) == content


def test_restic_respects_our_locks_and_we_its(tmp_path: Path, program: Path) -> None:
    """An exclusive one keeps the other out; `unlock` of restic takes ours for alive while we are."""
    place = tmp_path / "repository"
    repository = Repository.create(LocalStore(place), PASSWORD, cost=CHEAP)
    (tmp_path / "file").write_text("x")
    with repository.lock(exclusive=True):
        restic(program, place, "unlock")
        done = subprocess.run(
            [program, "--no-cache", "-r", place, "backup", tmp_path / "file"],
            env={**os.environb, b"RESTIC_PASSWORD": PASSWORD},
            capture_output=True,
            text=True,
        )
        assert done.returncode in (1, 11)
        assert "repository is already locked" in done.stderr
    with repository.lock():
        restic(program, place, "backup", str(tmp_path / "file"))
        assert subprocess.run(
            [program, "--no-cache", "-r", place, "prune"],
            env={**os.environb, b"RESTIC_PASSWORD": PASSWORD},
            capture_output=True,
        ).returncode in (1, 11)
    reader = subprocess.Popen(
        [program, "--no-cache", "-r", place, "backup", "--stdin"],
        env={**os.environb, b"RESTIC_PASSWORD": PASSWORD},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        while not list(repository.names(FileKind.LOCK)):
            assert reader.poll() is None
        with pytest.raises(LockedError, match=f"process {reader.pid}"), repository.lock(exclusive=True):
            pytest.fail("it was locked")
        with repository.lock():
            pass
    finally:
        reader.kill()
        reader.communicate()


def test_a_snapshot_that_is_damaged_hides_no_other(tmp_path: Path) -> None:
    """Whoever wants them all is told; whoever can do without goes on."""
    repository = Repository.create(MemoryStore(), PASSWORD, cost=CHEAP)
    names = [repository.save_snapshot(Snapshot(Moment(time), bytes(32), ("/x",))) for time in (2, 1)]
    assert [snapshot.id for snapshot in repository.snapshots()] == names[::-1]
    repository.store.save(FileKind.SNAPSHOT, "ab" * 32, b"rubbish")
    with pytest.raises(DamagedError, match="snapshots/abababab"):
        repository.snapshots()
    told: dict[str, RepositoryError] = {}
    assert len(repository.snapshots(on_damaged=told.__setitem__)) == 2
    assert list(told) == ["ab" * 32]


def test_a_blob_that_is_nowhere_is_named() -> None:
    """By its kind and the beginning of its id."""
    repository = Repository.create(MemoryStore(), PASSWORD, cost=CHEAP)
    with pytest.raises(DamagedError, match="tree 01010101 is in no index"):
        repository.load_tree(b"\x01" * 32)
    assert issubclass(StoreError, RepositoryError)
