"""The real logrotate and ours, each run under a clock that stands still, where they can break nothing."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import peers
from tests.agent.logs.rotate.differential.case import FOLDER, Run
from tests.agent.logs.rotate.differential.folder import group_id, user_id

PATIENCE = 30
"""Seconds for one run."""
ROOT = Path(__file__).parents[5]
UNUSED = "2001-02-03 04:05:06"
"""The clock before the first run. Only another one is read anew by libfaketime, in the time zone of its run."""
MEMORY = Path("/dev/shm")
SANDBOX = (
    "mount --make-rprivate / && mount --bind {place} {place} && mount -o remount,bind,ro / && "
    "LD_PRELOAD={library} exec {command}"
)
"""A slip in a configuration can make any file of the host a log; only the twins' place can be written to."""


class Runner:
    """A process that starts programs in the sandbox, and has ours loaded."""

    def __init__(self, process: subprocess.Popen[str], place: Path) -> None:
        self.process = process
        self.place = place
        """A folder that any user may pass through, and all that can be written to."""

    def real(self) -> Program:
        """logrotate 3.22."""
        return Program(self, peers.logrotate(peers.faketime()))

    def ours(self) -> Program:
        """`hostward logrotate`."""
        return Program(self, None)

    def ask(self, order: dict[str, object]) -> int:
        """The exit code of one run."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


class Program:
    """One that is compared."""

    def __init__(self, runner: Runner, command: list[str] | None) -> None:
        self.runner = runner
        self.command = command
        """None for ours, which is called in a fork."""

    def __call__(self, run: Run, folder: Path, timezone: str, output: tuple[Path, Path]) -> int:
        """Run it in the folder, with its output and errors into two files. Returns its exit code."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": timezone, "HOME": str(folder)}
        return self.runner.ask(
            {
                "command": self.command,
                "words": [word.replace(FOLDER, str(folder)) for word in run.options],
                "folder": str(folder),
                "environment": environment | faked(f"{run.clock:%Y-%m-%d %H:%M:%S}"),
                "output": [str(path) for path in output],
                "user": [user_id(run.user), group_id(group_of(run.user))] if run.user else None,
                "umask": int(run.umask, 8),
                "patience": PATIENCE,
            }
        )


@contextmanager
def runner() -> Iterator[Runner]:
    """Ready to run both. Needs root."""
    with tempfile.TemporaryDirectory(prefix="twins-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        place = Path(name)
        place.chmod(0o755)
        zygote = [sys.executable, "-m", "tests.agent.logs.rotate.differential.zygote"]
        script = SANDBOX.format(place=shlex.quote(name), library=peers.faketime(), command=shlex.join(zygote))
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script],
            cwd=ROOT,
            env=os.environ | faked(UNUSED),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield Runner(process, place)
        finally:
            process.communicate(timeout=PATIENCE)


def faked(clock: str) -> dict[str, str]:
    """What libfaketime is to be told: the clock, anew at each call; and to leave all else alone."""
    return {
        "FAKETIME": clock,
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKE_UTIME": "0",
        "NO_FAKE_STAT": "1",
    }


def group_of(user: str) -> str:
    """The group that a user of a case is in."""
    return "nogroup" if user == "nobody" else user


def written(began: float) -> tuple[float, float]:
    """When a run wrote that began at that time and is over now, by the clock of a file system, which ticks."""
    return began - 0.02, time.time() + 0.02
