"""What commands make of a repository that somebody filled to harm whoever looks at it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from backup.format.node import Node, encode_node, encode_tree
from backup.format.pack import BlobKind
from backup.repository.files import name_of
from backup.repository.repository import Repository
from backup.repository.saver import BlobSaver
from backup.stores.contract import FileKind
from backup.stores.local import LocalStore
from tests.agent.cli.backup.repos import Place, call

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
"""What steers a terminal; lines and columns do not."""
EVIL = "\x1b]0;you\x07\x9b31m\x7f\u202e"
TIME = "2024-05-06T07:08:09Z"
ZONES = ("Asia/Kolkata", "America/Los_Angeles")

LOOKING = [
    "snapshots",
    "snapshots --json",
    "snapshots --group-by host,paths,tags",
    "ls latest --long",
    "ls latest --json",
    "ls latest --sort time",
    "find * --long",
    "find * --json",
    "stats",
    "stats --mode raw-data",
    "stats --mode files-by-contents",
    "stats --mode blobs-per-file",
    "diff latest latest --metadata",
    "forget --keep-last 1 --keep-daily 1 --keep-within 1y --dry-run",
    "forget --keep-last 1 --group-by host,tags --dry-run --json",
    "prune --dry-run",
    "rewrite --exclude odd --dry-run --verbose",
    "repair snapshots --dry-run",
    "repair index --dry-run",
    "check --read-data",
    "key list",
    "key list --json",
    "cat snapshot latest",
    "cat tree latest",
    "list blobs",
    "restore latest --target TARGET --dry-run --verbose",
    "restore latest --target TARGET --verbose --verify",
    "restore latest --target TARGET --json -vv",
]


def node(name: bytes, type: str, **fields: Any) -> Node:
    """An entry that belongs to whoever runs the test."""
    return Node(name, type, **{"mode": 0o600, "mtime": TIME, "links": 1, **fields})


def fill(repository: Repository, *nodes: Node, **snapshot: Any) -> None:
    """Save a snapshot of these entries."""
    with BlobSaver(repository) as saver:
        tree = saver.save(BlobKind.TREE, encode_tree(map(encode_node, nodes)))
        saver.flush()
    given = {"time": TIME, "tree": tree.hex(), "paths": ["/x"], "hostname": "h", "username": "u", **snapshot}
    repository.save_file(FileKind.SNAPSHOT, json.dumps(given).encode())


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Times at both ends, and words that steer terminals wherever there are words. Not to be changed."""
    place = Place.make(tmp_path_factory.mktemp("hostile") / "repository")
    repository = place.opened()
    entries = (
        node(EVIL.encode(), "file", content=[], user=EVIL, group=EVIL),
        node(b"first", "file", content=[], mtime="0000-01-01T00:00:00+14:00"),
        node(b"last", "file", content=[], mtime="9999-12-31T23:59:59.999999999-14:00"),
        node(b"link", "symlink", linktarget=EVIL.encode()),
        node(b"nul", "symlink", linktarget=b"a\0b"),
        node(b"odd", EVIL),
    )
    words = {"hostname": EVIL, "username": EVIL, "paths": ["/" + EVIL, "/\n"], "tags": [EVIL]}
    fill(repository, *entries, **words, program_version=EVIL, excludes=[EVIL])
    fill(repository, *entries, time="0000-01-01T00:00:00+14:00")
    fill(repository, *entries, **words, time="9999-12-31T23:59:59.999999999-14:00")
    return place


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("line", LOOKING)
def test_nothing_steers_the_terminal(hostile: Place, tmp_path: Path, line: str, zone: str) -> None:
    """Nor does anything end in a traceback, in zones on both sides of Greenwich."""
    words = line.replace("TARGET", str(tmp_path / "target")).split()
    done = call(["backup", *words], hostile.environment(TZ=zone, NO_COLOR="1"), terminal=True)
    assert done.returncode in (0, 1), done.stderr
    assert not STEERING.search(done.stdout), ascii(done.stdout)
    assert not STEERING.search(done.stderr), ascii(done.stderr)
    if "--json" in words:
        for shown in done.stdout.splitlines():
            json.loads(shown)


def test_words_go_to_programs_as_they_are(hostile: Place) -> None:
    """What is shown on no terminal is not changed."""
    assert hostile.json("snapshots")[-1]["hostname"] == EVIL
    assert EVIL in hostile.hostward("ls", "latest")


def test_what_can_be_restored_is(hostile: Place, tmp_path: Path) -> None:
    """What cannot be, a link with a NUL and a type of its own, is named, and the rest is there."""
    done = call(["backup", "restore", "latest", "--target", str(tmp_path)], hostile.environment())
    assert done.returncode == 1
    assert {path.name for path in tmp_path.iterdir()} == {EVIL, "first", "last", "link"}
    assert "/nul: it leads to a path with a NUL" in done.stderr
    assert "/odd: its type" in done.stderr


def test_a_device_that_no_tar_can_hold_is_named(place: Place) -> None:
    """Its numbers are beyond all that Linux has."""
    fill(place.opened(), node(b"device", "chardev", device=(1 << 64) - 1))
    done = call(["backup", "dump", "latest", "/"], place.environment())
    assert (done.returncode, "no tar can hold" in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize("kind", ["key", "index", "lock"])
@pytest.mark.parametrize("content", [b"{", b'{"a": "\xff"}', b"[" * 100_000])
def test_cat_of_what_is_no_json(place: Place, kind: str, content: bytes) -> None:
    """Its name is right, and its content is not."""
    repository = place.opened()
    if kind == "key":
        name = save_key(repository, content)
    else:
        name = repository.save_file(FileKind.INDEX if kind == "index" else FileKind.LOCK, content)
    done = call(["backup", "cat", kind, name, "--no-lock"], place.environment())
    if done.returncode:  # an index is not parsed to be printed
        assert (done.returncode, "is no JSON" in done.stderr) == (1, True), done.stderr
    else:
        assert kind == "index"


def save_key(repository: Repository, content: bytes) -> str:
    """A file among the keys, by its right name."""
    repository.store.save(FileKind.KEY, name_of(content), content)
    return name_of(content)


def test_a_cache_that_somebody_planted_is_left_alone(place: Place, files: Path, tmp_path: Path) -> None:
    """What a link in it leads to is not the cache's to remove; the run goes on without."""
    folder = tmp_path / "shared" / "hostward-backup"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    done = call(["backup", "run", str(files / "etc"), "--cache-dir", str(folder.parent)], place.environment())
    assert (done.returncode, "is not used" in done.stderr) == (0, True), done.stderr
    assert [*folder.iterdir()] == []


def test_an_index_that_is_none_hides_nothing(place: Place, tmp_path: Path) -> None:
    """Who may only add to a repository can add one: what the others know of is shown and restored, with a warning."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    place.hostward("run", source)
    noise = b"no index"
    LocalStore(str(place.folder)).save(FileKind.INDEX, name_of(noise), noise)
    done = call(["backup", "restore", "latest", "--target", str(tmp_path / "back")], place.environment())
    assert done.returncode == 0, done.stderr
    assert f"left out: index/{name_of(noise)[:8]}" in done.stderr
    assert (tmp_path / "back" / str(source).lstrip("/") / "file").read_text() == "content"
    assert place.hostward("dump", "latest", source / "file") == "content"
    assert place.hostward("ls", "latest")
