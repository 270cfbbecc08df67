"""Whatever happens to a tree: a run that scans what the watcher says makes the snapshot that a full run makes."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from agent.backups.watch.changed import ChangedFolders
from agent.backups.watch.scope import watched_of
from agent.backups.watch.watcher import Watcher
from backup.archive.backup import run_backup
from backup.archive.plan import Plan
from backup.archive.report import Outcome
from backup.archive.scope import Scope
from backup.format.keyfile import Cost
from backup.format.node import Node
from backup.repository.repository import Repository
from backup.stores.memory import MemoryStore

ROUNDS = 6
CHEAP = Cost(1024, 8, 1)


class Tree:
    """A folder to which things happen, and another one beside it."""

    def __init__(self, top: Path, chance: random.Random) -> None:
        self.top = top / "top"
        self.beside = top / "beside"
        self.chance = chance
        self.pinned: set[Path] = set()
        """Names that may not go in this round: links that were made in it (see docs/backup.md)."""
        for folder in (self.top / "a/b/c", self.top / "d/e", self.top / "cache/f", self.beside / "g/h"):
            folder.mkdir(parents=True)
            for number in range(3):
                (folder / f"file{number}").write_bytes(chance.randbytes(100))
        self.count = 0

    def folders(self, top: Path | None = None) -> list[Path]:
        return [Path(folder) for folder, _, _ in os.walk(top or self.top)]

    def files(self, top: Path | None = None) -> list[Path]:
        return [Path(folder, name) for folder, _, names in os.walk(top or self.top) for name in names]

    def folder(self) -> Path:
        return self.chance.choice(self.folders())

    def file(self) -> Path:
        return self.chance.choice(self.files() or [self.top / "none"])

    def new(self) -> Path:
        """A name in some folder: mostly one that is not there, of few, so that names come back."""
        return self.folder() / f"n{self.chance.randrange(6)}"

    def may_go(self, path: Path) -> bool:
        return path != self.top and not any(pinned.is_relative_to(path) for pinned in self.pinned)

    # What can happen

    def make_folder(self) -> None:
        (self.new() / "x" / "y").mkdir(parents=True)

    def write(self) -> None:
        path = self.chance.choice([self.new(), self.file()])
        if path.is_fifo():  # opening one waits for its other end
            return
        path.write_bytes(self.chance.randbytes(self.chance.randrange(200)))

    def append(self) -> None:
        path = self.file()
        if not path.is_fifo():
            with path.open("ab") as stream:
                stream.write(b"more")

    def truncate(self) -> None:
        os.truncate(self.file(), 3)

    def remove(self) -> None:
        path = self.file()
        if self.may_go(path):
            path.unlink()

    def remove_folder(self) -> None:
        path = self.folder()
        if self.may_go(path):
            shutil.rmtree(path)

    def rename_file(self) -> None:
        old, new = self.file(), self.chance.choice([self.new(), self.file()])
        if self.may_go(old) and self.may_go(new):
            old.rename(new)

    def rename_folder(self) -> None:
        old, new = self.folder(), self.new()
        if self.may_go(old) and self.may_go(new):
            old.rename(new)

    def exchange(self) -> None:
        """Two folders take each other's place."""
        one, other = self.folder(), self.folder()
        if self.may_go(one) and self.may_go(other):
            spare = self.beside / "spare"
            one.rename(spare)
            if other.exists():
                other.rename(one)
                spare.rename(other)
            else:
                spare.rename(one)

    def move_out(self) -> None:
        path = self.folder()
        if self.may_go(path):
            self.count += 1
            path.rename(self.beside / f"out{self.count}")

    def move_in(self) -> None:
        path = self.chance.choice(self.folders(self.beside))
        if path != self.beside:
            path.rename(self.new())

    def move_file_in(self) -> None:
        self.chance.choice(self.files(self.beside) or [self.beside / "none"]).rename(self.new())

    def chmod(self) -> None:
        self.chance.choice([self.file(), self.folder()]).chmod(self.chance.choice([0o700, 0o755, 0o711]))

    def chown(self) -> None:
        if os.geteuid() == 0:
            os.chown(self.chance.choice([self.file(), self.folder()]), self.chance.randrange(3), -1)

    def set_time(self) -> None:
        os.utime(self.chance.choice([self.file(), self.folder()]), ns=(0, self.chance.randrange(10**18)))

    def set_attribute(self) -> None:
        os.setxattr(self.chance.choice([self.file(), self.folder()]), "user.test", self.chance.randbytes(4))

    def symlink(self) -> None:
        self.new().symlink_to(self.chance.choice(["nowhere", "a/b"]))

    def pipe(self) -> None:
        os.mkfifo(self.new())

    def link(self) -> None:
        new = self.new()
        if "cache" in new.parts:  # left out in some of the tests, and so not watched
            return
        os.link(self.file(), new, follow_symlinks=False)
        self.pinned.add(new)

    def deep(self) -> None:
        folder = self.new().joinpath(*"abcdefgh")
        folder.mkdir(parents=True)
        (folder / "leaf").write_text("leaf")

    def copy(self) -> None:
        source = self.folder()
        if len(self.files(source)) < 30:
            shutil.copytree(source, self.beside / "copy", symlinks=True, ignore_dangling_symlinks=True)
            (self.beside / "copy").rename(self.new())


def node_of(repository: Repository, outcome: Outcome, path: Path) -> Node:
    """What a snapshot has of a folder: metadata, and the id of its tree. Not of those above, which others change."""
    assert outcome.snapshot.tree is not None
    tree = outcome.snapshot.tree
    for name in path.parts[1:]:
        (node,) = [node for node in repository.load_tree(tree) if node.name == os.fsencode(name)]
        assert node.subtree is not None
        tree = node.subtree
    return node


COMMON = [
    Tree.make_folder, Tree.write, Tree.append, Tree.truncate, Tree.remove, Tree.remove_folder, Tree.rename_file,
    Tree.rename_folder, Tree.exchange, Tree.move_out, Tree.move_in, Tree.move_file_in, Tree.chmod, Tree.chown,
    Tree.set_time, Tree.set_attribute, Tree.symlink, Tree.pipe, Tree.deep,
]  # fmt: skip
LINKS = [*COMMON, Tree.link, Tree.link, Tree.copy]


@pytest.mark.parametrize("patterns", [(), (b"cache", b"!n1")])
@pytest.mark.parametrize("operations", [COMMON, LINKS], ids=["common", "links"])
@pytest.mark.parametrize("seed", range(3))
def test_a_watched_run_is_as_a_full_run(
    tmp_path: Path, seed: int, operations: list[Callable[[Tree], None]], patterns: tuple[bytes, ...]
) -> None:
    """The same root, byte for byte, and the same totals, round after round."""
    chance = random.Random(seed)
    tree = Tree(tmp_path, chance)
    targets = (os.fsencode(tree.top),)
    scope = Scope(patterns)
    repository = Repository.create(MemoryStore(), b"password", cost=CHEAP)
    watcher = Watcher(watched_of(targets, scope))
    watcher.start()
    token, parent, watched_rounds = "", "", 0
    with repository.lock():
        for _ in range(ROUNDS):
            answer = watcher.answer(token)
            changed = None if answer.everything or not parent else ChangedFolders(answer.changed, answer.whole)
            watched_rounds += changed is not None
            plan = Plan(targets=targets, scope=scope, parent=parent, workers=1)
            outcome = run_backup(repository, plan, cache=tmp_path / "folders", changed_folders=changed)
            full = run_backup(repository, Plan(targets=targets, scope=scope, force=True, workers=1))
            assert node_of(repository, outcome, tree.top) == node_of(repository, full, tree.top), answer
            assert outcome.summary.total_files_processed == full.summary.total_files_processed
            assert outcome.summary.total_bytes_processed == full.summary.total_bytes_processed
            token, parent = answer.token, outcome.snapshot.id
            tree.pinned.clear()
            for _ in range(chance.randrange(12)):
                with suppress(OSError, shutil.Error):
                    chance.choice(operations)(tree)
                if chance.random() < 0.2:
                    watcher.take_note()
    watcher.close()
    if operations is COMMON:
        assert watched_rounds == ROUNDS - 1
