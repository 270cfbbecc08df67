"""A repository, and sources that are saved into it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.backups.scratch import registry as servers
from agent.backups.scratch.contract import Server
from agent.backups.sources import registry
from agent.backups.sources.contract import Run
from backup.archive.backup import run_backup
from backup.archive.plan import Plan
from backup.archive.report import Outcome
from tests.backup.archive.ground import Ground
from tests.peers import newest_restic


class Saver:
    """Saves what sources give."""

    def __init__(self, ground: Ground, state: Path) -> None:
        self.ground = ground
        self.state = state

    def save(self, kind: str, options: Any, meanwhile: Callable[[], object] = lambda: None) -> Outcome:
        """One run; `meanwhile` is called when the source is open, and nothing is read yet."""
        repository = self.ground.open()
        run = Run("job", self.state)
        with repository.lock(), registry.opened(kind, options, run) as contents:
            meanwhile()
            plan = Plan(contents.paths, workers=1)
            return run_backup(repository, plan, streams=contents.streams, names=contents.names)

    def count(self) -> int:
        """How many snapshots there are."""
        return len(list(self.ground.open().snapshots(on_damaged=lambda name, error: None)))

    def files(self, outcome: Outcome) -> dict[str, bytes]:
        """Path to content of the files of a snapshot."""
        nodes = self.ground.files(outcome)
        return {os.fsdecode(path): self.ground.content(node) for path, node in nodes.items() if node.type == "file"}

    def checked(self) -> None:
        """Stock restic reads all of it."""
        self.ground.restic(newest_restic(), "check", "--read-data", "--quiet")

    @contextmanager
    def restored(self, kind: str, outcome: Outcome) -> Iterator[Server]:
        """A scratch server with all that a snapshot holds."""
        files = self.files(outcome)
        general = {"globals.sql", "users.sql"}
        with (
            tempfile.TemporaryDirectory(prefix="hw-", dir="/tmp") as folder,
            servers.opened(kind, Path(folder), patience=60) as server,
        ):
            for path, content in sorted(files.items(), key=lambda item: Path(item[0]).name not in general):
                with tempfile.TemporaryFile() as file:
                    file.write(content)
                    file.seek(0)
                    server.load(path, file.fileno())
            yield server
