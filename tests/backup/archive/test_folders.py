"""The cache of folders: it saves work, and whatever it holds, the snapshot is the same as without it."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from backup.archive import folders, walk
from backup.archive.previous import PreviousNodes, parse_previous
from backup.archive.report import Outcome
from backup.errors import DamagedError
from backup.format.gotime import Moment
from backup.format.pack import BlobKind
from backup.maintain.contents import PackContents
from backup.repository.repository import Repository
from backup.repository.saver import BlobSaver
from tests.backup.archive.ground import Ground, listed, mutate


def loaded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The folders of which the parent's tree is parsed from now on."""
    found: list[bytes] = []

    def parse(tree: bytes) -> PreviousNodes:
        found.append(tree)
        return parse_previous(tree)

    monkeypatch.setattr("backup.archive.course.parse_previous", parse)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_with_or_without_a_cache_the_tree_is_the_same(ground: Ground, top: Path, seed: int) -> None:
    """After any changes, told by a watcher or not, with a cache of the last run, of an older one, or a broken one."""
    source = random.Random(seed)
    ground.save("top", cached=True)
    kept = ground.cache.read_bytes()
    for _ in range(6):
        for _ in range(source.randrange(3)):
            mutate(top, source)
        damage = source.randrange(4)
        if damage == 0:
            ground.cache.write_bytes(kept)
        elif damage == 1:
            broken = bytearray(ground.cache.read_bytes())
            broken[source.randrange(len(broken))] ^= 1 << source.randrange(8)
            ground.cache.write_bytes(broken)
        expected = ground.tree_without_cache("top")
        outcome = ground.save("top", cached=True)
        assert outcome.snapshot.tree == expected
        assert outcome.summary.total_files_processed == sum(path.is_file() for path in top.rglob("*"))


def test_what_has_not_changed_is_neither_loaded_nor_saved(
    ground: Ground, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unchanged, only the tree above the target is parsed; after a change, those on the way to it."""
    ground.save("top", cached=True)
    parsed = loaded(monkeypatch)
    outcome = ground.save("top", cached=True)
    assert len(parsed) == 1 and outcome.summary.dirs_unmodified == 9
    (top / "e" / "f" / "g" / "h" / "0").write_text("other")
    parsed.clear()
    outcome = ground.save("top", cached=True)
    assert len(parsed) == 6  # the root, top, e, f, g, h
    assert (outcome.summary.files_changed, outcome.summary.dirs_changed) == (1, 5)
    assert outcome.snapshot.tree == ground.tree_without_cache("top")


def test_only_folders_that_changed_are_listed(ground: Ground, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a watcher's word, which names what has changed at any depth, all else is taken over, over several runs."""
    ground.save("top", cached=True)
    found = listed(monkeypatch)

    def save(*changed: str) -> Outcome:
        found.clear()
        paths = [top / name for name in changed]
        return ground.save(
            "top", cached=True, changed={os.fsencode(p) for path in paths for p in (path, *path.parents)}
        )

    first = save()
    assert found == [] and first.summary.total_files_processed == 12
    for _ in range(2):
        (top / "e" / "f" / "g" / "h" / "0").write_bytes(os.urandom(5))
        outcome = save("e/f/g/h")
        assert found == [os.fsencode(top / name) for name in ("", "e", "e/f", "e/f/g", "e/f/g/h")]
        assert outcome.snapshot.tree == ground.tree_without_cache("top")
        assert outcome.summary.total_files_processed == 12
        found.clear()
        assert save().snapshot.tree == outcome.snapshot.tree and found == []
    # Another folder in its place is seen although nobody told of it.
    shutil.copytree(top / "a", top / "copy")
    shutil.rmtree(top / "a")
    (top / "copy").rename(top / "a")
    outcome = save("")
    assert os.fsencode(top / "a") in found and outcome.snapshot.tree == ground.tree_without_cache("top")


def test_the_word_of_a_watcher_is_worth_nothing_without_a_cache(ground: Ground, top: Path) -> None:
    """Where there is no cache to be believed, all folders are listed."""
    ground.save("top", cached=True)
    (top / "a" / "d" / "0").write_text("other")
    ground.cache.write_bytes(b"nothing")
    assert ground.save("top", cached=True, changed=set()).snapshot.tree == ground.tree_without_cache("top")


def test_a_cache_is_not_believed_when_blobs_may_be_gone(
    ground: Ground, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an index file was removed, by a prune or a repair, everything is compared with the parent again."""
    ground.save("top", cached=True)
    repository = ground.open()
    before = list((ground.place / "index").iterdir())
    packs = PackContents(repository.blobs)
    repository.save_index([(pack, packs.blobs(pack)) for pack in packs])
    for index in before:
        index.unlink()
    parsed = loaded(monkeypatch)
    ground.save("top", cached=True)
    assert len(parsed) == 10


def test_a_name_that_changed_is_noticed(ground: Ground, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who is renamed makes no folder change, but trees hold the name."""
    ground.save("top", cached=True)
    for module in (folders, walk):
        if hasattr(module, "user_name"):
            monkeypatch.setattr(module, "user_name", lambda uid: "renamed")
    monkeypatch.setattr("backup.archive.previous.user_name", lambda uid: "renamed")
    monkeypatch.setattr("backup.metadata.user_name", lambda uid: "renamed")
    outcome = ground.save("top", cached=True)
    assert {node.user for node in ground.files(outcome).values()} == {"renamed"}


def test_a_lost_tree_of_the_parent_leaves_nothing_out(
    ground: Ground, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache says what is in the folder, but that can no longer be read: its files are, again."""
    before = ground.save("top", cached=True)
    lost = ground.files(before)[b"/top/e"].subtree
    (top / "e" / "f" / "g" / "h" / "0").write_text("other")
    expected = ground.tree_without_cache("top")
    inner = Repository.load_blob

    def load_blob(self: Repository, kind: BlobKind, id: bytes) -> bytes:
        if id == lost:
            raise DamagedError("it is lost")
        return inner(self, kind, id)

    monkeypatch.setattr(Repository, "load_blob", load_blob)
    outcome = ground.save("top", cached=True)
    assert outcome.snapshot.tree == expected
    assert [problem.path for problem in outcome.problems] == [str(top / "e")]
    assert outcome.summary.total_files_processed == 12


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (b'"subtree":"', b'"subtree": "'),
        (b'"subtree":"', b'"subtree":"no id'),
        (b'"content":["', b'"content":["no id'),
        (b'"content":["', b'"content":null,"other":["'),
    ],
)
def test_a_parent_that_another_program_wrote_hides_no_change(
    ground: Ground, top: Path, text: bytes, other: bytes
) -> None:
    """Its trees say the same in other words, or nonsense."""
    snapshot = ground.save("top").snapshot
    repository = ground.open()
    with repository.lock(), BlobSaver(repository) as saver:

        def rewritten(tree: bytes) -> bytes:
            data = repository.load_blob(BlobKind.TREE, tree)
            for node in repository.load_tree(tree):
                if node.subtree is not None:
                    data = data.replace(node.subtree.hex().encode(), rewritten(node.subtree).hex().encode())
            return saver.save(BlobKind.TREE, data.replace(text, other))

        assert snapshot.tree is not None
        tree = rewritten(snapshot.tree)
        saver.flush()
        repository.save_snapshot(replace(snapshot, moment=Moment(snapshot.time_ns + 1), tree=tree))
    (top / "e" / "f" / "g" / "h" / "0").write_text("other")
    after = ground.files(ground.save("top"))
    assert ground.content(after[b"/top/e/f/g/h/0"]) == b"other"
    for name in (b"/top/e/1", b"/top/a/d/1"):
        assert ground.content(after[name]) == (top.parent / os.fsdecode(name[1:])).read_bytes()
