"""Hostward, restic and borg, each with the command line that its user would type."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.processes import BIN, call, environment
from tests import newer

PASSWORD = "benchmark"
Command = Sequence[object]


class Tool(Protocol):
    """What is compared. Each has a folder of its own for its home and cache."""

    name: str
    folder: Path
    program: Path

    def variables(self) -> Mapping[str, str]:
        """The environment of its commands."""
        ...

    def init(self, repository: Path) -> Command: ...
    def backup(self, repository: Path, source: Path, *, verify: bool) -> Command: ...
    def restore(self, repository: Path, target: Path) -> Command: ...
    def check(self, repository: Path) -> Command: ...


@dataclass
class Hostward:
    folder: Path
    program = BIN / "hostward"
    name = "hostward"

    def variables(self) -> Mapping[str, str]:
        (self.folder / "password").write_text(PASSWORD)
        (self.folder / "password").chmod(0o600)
        return {**environment(self.folder), "HOSTWARD_PASSWORD_FILE": str(self.folder / "password")}

    def init(self, repository: Path) -> Command:
        return [self.program, "backup", "init", "--repo", repository]

    def backup(self, repository: Path, source: Path, *, verify: bool) -> Command:
        words = [] if verify else ["--no-extra-verify"]
        return [self.program, "backup", "run", "--repo", repository, *words, source]

    def restore(self, repository: Path, target: Path) -> Command:
        return [self.program, "backup", "restore", "latest", "--repo", repository, "--target", target]

    def check(self, repository: Path) -> Command:
        return [self.program, "backup", "check", "--repo", repository, "--read-data"]


@dataclass
class Restic:
    folder: Path
    program: Path
    name = "restic"

    def variables(self) -> Mapping[str, str]:
        return {**environment(self.folder), "RESTIC_PASSWORD": PASSWORD}

    def init(self, repository: Path) -> Command:
        return [self.program, "init", "--repo", repository]

    def backup(self, repository: Path, source: Path, *, verify: bool) -> Command:
        words = [] if verify else ["--no-extra-verify"]
        return [self.program, "backup", "--repo", repository, *words, source]

    def restore(self, repository: Path, target: Path) -> Command:
        return [self.program, "restore", "latest", "--repo", repository, "--target", target]

    def check(self, repository: Path) -> Command:
        return [self.program, "check", "--repo", repository, "--read-data"]


@dataclass
class Borg:
    """It has no extra verification to switch off. Compression is zstd as with the others."""

    folder: Path
    program: Path
    name = "borg"

    def variables(self) -> Mapping[str, str]:
        return {
            **environment(self.folder),
            "BORG_PASSPHRASE": PASSWORD,
            "BORG_BASE_DIR": str(self.folder),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }

    def init(self, repository: Path) -> Command:
        return [self.program, "init", "--encryption", "repokey", repository]

    def backup(self, repository: Path, source: Path, *, verify: bool) -> Command:
        return [self.program, "create", "--compression", "zstd,3", f"{repository}::{{now:%H%M%S.%f}}", source]

    def restore(self, repository: Path, target: Path) -> Command:
        target.mkdir(parents=True)
        last = call_with(self, self.program, "list", "--short", "--last", "1", repository).strip()
        return [*("env", "-C", target), self.program, "extract", f"{repository}::{last}"]

    def check(self, repository: Path) -> Command:
        return [self.program, "check", "--verify-data", repository]


def installed(folder: Path) -> list[Tool]:
    """Ours, and those of the others that are here: restic of 0.18 or later, any borg."""
    tools: list[Tool] = [Hostward(folder / "hostward")]
    restic = newer.RESTIC if newer.RESTIC.exists() else shutil.which("restic")
    if restic is not None:
        tools.append(Restic(folder / "restic", Path(restic)))
    if (borg := shutil.which("borg")) is not None:
        tools.append(Borg(folder / "borg", Path(borg)))
    for tool in tools:
        tool.folder.mkdir(parents=True, exist_ok=True)
    return tools


def version(tool: Tool) -> str:
    """As it says itself."""
    word = "version" if isinstance(tool, Restic) else "--version"
    return " ".join(call(tool.folder, tool.program, word).split()[:2])


def call_with(tool: Tool, *command: object) -> str:
    """Run to the end in the tool's environment; the output."""
    return subprocess.run(
        list(map(str, command)), env={**os.environ, **tool.variables()}, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
