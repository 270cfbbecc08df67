"""The real logrotate and ours, each run under a clock that stands still."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests import peers
from tests.agent.logs.rotate.differential.case import FOLDER, Run
from tests.agent.logs.rotate.differential.folder import group_id, user_id

PATIENCE = 30
"""Seconds for one run."""
ROOT = Path(__file__).parents[5]


class Program(Protocol):
    """One of the two."""

    def __call__(self, run: Run, folder: Path, timezone: str, output: tuple[Path, Path]) -> int:
        """Run it in the folder, with its output and errors into two files. Returns its exit code."""


def environment(run: Run, folder: Path, timezone: str) -> dict[str, str]:
    """What a run sees of the world."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": timezone, "HOME": str(folder)}


def faked(clock: datetime.datetime) -> dict[str, str]:
    """What libfaketime is to be told: the clock, and to leave the times of files alone."""
    return {"FAKETIME": f"{clock:%Y-%m-%d %H:%M:%S}", "FAKE_UTIME": "0", "NO_FAKE_STAT": "1"}


def words(run: Run, folder: Path) -> list[str]:
    """The command line."""
    return [word.replace(FOLDER, str(folder)) for word in run.options]


class Real:
    """logrotate 3.22, or another one."""

    def __init__(self, command: list[str] | None = None) -> None:
        self.command = peers.logrotate(peers.faketime()) if command is None else command

    def __call__(self, run: Run, folder: Path, timezone: str, output: tuple[Path, Path]) -> int:
        with output[0].open("wb") as out, output[1].open("wb") as errors:
            return subprocess.run(
                [*self.command, *words(run, folder)],
                cwd=folder,
                env=environment(run, folder, timezone) | faked(run.clock),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                user=user_id(run.user) if run.user else None,
                group=group_id(group_of(run.user)) if run.user else None,
                extra_groups=[] if run.user else None,
                umask=int(run.umask, 8),
                timeout=PATIENCE,
            ).returncode


class Ours:
    """`hostward logrotate`, in a process that has it loaded and forks for each run."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def __call__(self, run: Run, folder: Path, timezone: str, output: tuple[Path, Path]) -> int:
        order = {
            "words": words(run, folder),
            "folder": str(folder),
            "environment": environment(run, folder, timezone),
            "faked": faked(run.clock),
            "output": [str(path) for path in output],
            "user": [user_id(run.user), group_id(group_of(run.user))] if run.user else None,
            "umask": int(run.umask, 8),
            "patience": PATIENCE,
        }
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def ours() -> Iterator[Ours]:
    """Ours, ready to run."""
    loaded = {"LD_PRELOAD": str(peers.faketime()), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    clock = faked(datetime.datetime(2020, 1, 1))  # noqa: DTZ001
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.agent.logs.rotate.differential.zygote"],
        cwd=ROOT,
        env=os.environ | loaded | clock,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Ours(process)
    finally:
        process.communicate(timeout=PATIENCE)


def group_of(user: str) -> str:
    """The group that a user of a case is in."""
    return "nogroup" if user == "nobody" else user


def written(began: float) -> tuple[float, float]:
    """When a run wrote that began at that time and is over now, by the clock of a file system, which ticks."""
    return began - 0.02, time.time() + 0.02
