"""Hostward with a watcher beside it, as a job with `watch = true` has one."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.backup.tools import Command, Hostward

_JOB = "tree"
_PATIENCE = 120.0
"""Seconds until every folder is watched."""


@dataclass
class Watched(Hostward):
    """Runs a job of a configuration of its own. `watching` is around the runs that are measured."""

    name = "hostward, watched"

    def variables(self) -> Mapping[str, str]:
        return {
            **super().variables(),
            "HOSTWARD_RUN_DIR": str(self.folder / "run"),
            "HOSTWARD_CONFIG": str(self.folder / "agent.toml"),
        }

    def backup(self, repository: Path, source: Path, *, verify: bool) -> Command:
        job = {
            "repository": str(repository),
            "password_file": str(self.folder / "password"),
            "paths": [str(source)],
            "watch": True,
        }
        # A string, a number, a list or true of JSON is one of TOML.
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in job.items())
        (self.folder / "agent.toml").write_text(f"[backups.{_JOB}]\n{lines}")
        return [self.program, "backup", "run", _JOB]

    @contextmanager
    def watching(self, repository: Path, source: Path) -> Iterator[subprocess.Popen[bytes]]:
        """The watcher, while it watches. Raises RuntimeError where it does not come up."""
        self.backup(repository, source, verify=True)
        watcher = subprocess.Popen([self.program, "backup", "watch", _JOB], env=dict(self.variables()))
        try:
            given_up = time.monotonic() + _PATIENCE
            while not (self.folder / "run/hostward-backup" / _JOB / "socket").exists():
                if watcher.poll() is not None or time.monotonic() > given_up:
                    raise RuntimeError("the watcher did not come up")
                time.sleep(0.05)
            yield watcher
        finally:
            watcher.terminate()
            watcher.wait()
