"""A repository on disk and what the tests do with it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backup.archive.backup import run_backup
from backup.archive.early import EarlyLook
from backup.archive.listing import Listing, list_folder
from backup.archive.plan import Plan
from backup.archive.report import Outcome
from backup.format.keyfile import Cost
from backup.format.node import Node
from backup.format.pack import BlobKind
from backup.repository.opening import open_repository
from backup.repository.repository import Repository
from backup.stores.local import LocalStore

PASSWORD = b"password"
CHEAP = Cost(1024, 1, 1)


class Ground:
    """A new repository in a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.cache = place.with_name(place.name + ".folders")
        Repository.create(LocalStore(place), PASSWORD, cost=CHEAP)

    def open(self) -> Repository:
        """The repository as a new process would open it."""
        return open_repository(LocalStore(self.place), PASSWORD)

    def save(
        self,
        *targets: Path | str | bytes,
        cached: bool = False,
        changed: set[bytes] | None = None,
        after_a_look: Callable[[], object] | None = None,
        **options: Any,
    ) -> Outcome:
        """A backup by us. `after_a_look` is called between a look at all of the targets and the run."""
        plan = Plan(tuple(os.fsencode(target) for target in targets), **options)
        early = None
        if after_a_look is not None:
            early = EarlyLook(plan)
            early.look(lambda: False)
            after_a_look()
        repository = self.open()
        with repository.lock():
            outcome = run_backup(
                repository, plan, cache=self.cache if cached else None, changed_folders=changed, early=early
            )
        repository.store.close()
        return outcome

    def tree_without_cache(self, *targets: Path | str) -> bytes | None:
        """The tree that a run gives that believes nothing."""
        return self.save(*targets, force=True, dry_run=True).snapshot.tree

    def restic(self, program: Path, *words: str | Path, code: int = 0, cwd: Path | None = None) -> str:
        """What restic printed."""
        done = subprocess.run(
            [program, "--no-cache", "-r", self.place, *words],
            env={**os.environb, b"RESTIC_PASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            errors="surrogateescape",
            cwd=cwd,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout

    def restic_saves(self, program: Path, *words: str | Path, cwd: Path | None = None) -> dict[str, Any]:
        """The summary of a backup by restic."""
        lines = self.restic(program, "backup", "--json", *words, cwd=cwd).splitlines()
        summary: dict[str, Any] = json.loads(lines[-1])
        return summary

    def files(self, outcome: Outcome) -> dict[bytes, Node]:
        """Path to node of all that is in a snapshot."""
        assert outcome.snapshot.tree is not None
        repository = self.open()
        found: dict[bytes, Node] = {}
        waiting = [(b"", outcome.snapshot.tree)]
        while waiting:
            place, tree = waiting.pop()
            for node in repository.load_tree(tree):
                found[place + b"/" + node.name] = node
                if node.subtree is not None:
                    waiting.append((place + b"/" + node.name, node.subtree))
        return found

    def content(self, node: Node) -> bytes:
        """What a file had."""
        repository = self.open()
        return b"".join(repository.load_blob(BlobKind.DATA, id) for id in node.content or ())


def listed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The paths of the folders that are listed by a walk from now on, as they are."""
    found: list[bytes] = []

    def noted(path: bytes, *rest: Any) -> Listing:
        found.append(path)
        return list_folder(path, *rest)

    monkeypatch.setattr("backup.archive.walk.list_folder", noted)
    return found


def mutate(top: Path, source: random.Random) -> None:
    """One change somewhere."""
    paths = sorted(path for path in top.rglob("*"))
    files = [path for path in paths if path.is_file()]
    dirs = [top, *(path for path in paths if path.is_dir())]
    what = source.randrange(8)
    if what == 0:
        source.choice(files).write_bytes(source.randbytes(source.randrange(50)))
    elif what == 1:
        (source.choice(dirs) / f"new{source.randrange(1000)}").write_bytes(source.randbytes(5))
    elif what == 2 and len(files) > 3:
        source.choice(files).unlink()
    elif what == 3:
        source.choice(dirs).joinpath(f"dir{source.randrange(1000)}").mkdir(exist_ok=True)
    elif what == 4:
        source.choice(dirs[1:]).chmod(source.choice([0o755, 0o700, 0o750]))
    elif what == 5:
        path = source.choice(files)
        path.rename(path.with_name(f"moved{source.randrange(1000)}"))
    elif what == 6:
        source.choice(files).chmod(source.choice([0o644, 0o600]))
    elif len(dirs) > 4:
        shutil.rmtree(source.choice(dirs[1:]))
