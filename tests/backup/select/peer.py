"""A repository that restic opens in no time, for one run of it for each example."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from backup.format.keyfile import Cost
from backup.format.snapshot import Snapshot
from backup.repository.repository import Repository
from backup.stores.local import LocalStore


class Peer:
    """Its key costs nothing to derive; its snapshots have trees that nothing looks into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = Repository.create(LocalStore(folder), b"x", cost=Cost(2, 1, 1))

    def fill(self, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
        """Have these snapshots and no others; returns them with their ids."""
        for name in (self.folder / "snapshots").iterdir():
            name.unlink()
        return [replace(each, id=self.repository.save_snapshot(each)) for each in snapshots]

    def forget(self, restic: Path, zone: str, *arguments: str) -> list[dict[str, object]]:
        """What restic would forget, in its JSON."""
        run = self.run(restic, zone, "forget", "--dry-run", "--json", *arguments)
        assert run.returncode == 0, run.stderr
        found: list[dict[str, object]] = json.loads(run.stdout or "[]")
        return found

    def run(self, restic: Path, zone: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run restic where a zone is the local one."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "RESTIC_PASSWORD": "x", "TZ": zone}
        command = [str(restic), "--no-cache", "--no-lock", "-r", str(self.folder), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
