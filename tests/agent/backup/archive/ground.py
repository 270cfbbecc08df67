"""A repository on disk and what the tests do with it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from agent.backup.archive.backup import run_backup
from agent.backup.archive.plan import Plan
from agent.backup.archive.report import Outcome
from agent.backup.format.keyfile import Cost
from agent.backup.format.node import Node
from agent.backup.format.pack import BlobKind
from agent.backup.repository.repository import Repository
from agent.backup.stores.local import LocalStore

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
        return Repository.open(LocalStore(self.place), PASSWORD)

    def save(
        self, *targets: Path | str | bytes, cached: bool = False, changed: set[bytes] | None = None, **plan: Any
    ) -> Outcome:
        """A backup by us."""
        repository = self.open()
        with repository.lock():
            outcome = run_backup(
                repository,
                Plan(tuple(os.fsencode(target) for target in targets), **plan),
                cache=self.cache if cached else None,
                changed_folders=changed,
            )
        repository.store.close()
        return outcome

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
