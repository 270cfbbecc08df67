"""Rollouts in a folder of their own, run as an administrator does, with something else in place of pyinfra."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rollout.cli import main
from rollout.events import Event
from rollout.journal import Journal

STANDIN = (sys.executable, "-I", "-S", str(Path(__file__).with_name("standin.py")))


@dataclass(frozen=True)
class Done:
    """What a command said."""

    code: int
    stdout: str
    stderr: str


class Bench:
    """A folder with hosts, a deploy and the journals of its rollouts. standin.py has what files in it do."""

    def __init__(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        groups: Mapping[str, Sequence[str]],
        zones: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        hosts = [(name, [group], (zones or {}).get(name, "")) for group, names in groups.items() for name in names]
        (folder / "hosts.json").write_text(json.dumps(hosts))
        for name in ("inventory.py", "deploy.py"):
            (folder / name).touch()
        monkeypatch.chdir(folder)
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.delenv("HOSTWARD_HOME_FILE", raising=False)
        monkeypatch.setattr("rollout.child.ENGINE", STANDIN)

    def run(self, *words: str, code: int | None = 0) -> Done:
        """`hostward-rollout WORDS`. Raises AssertionError unless it ends with `code`."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                ended = main(words)
            except SystemExit as end:
                ended = int(end.code or 0)
        done = Done(ended, out.getvalue(), err.getvalue())
        assert code is None or done.code == code, f"{words}: {done}"
        return done

    def rollout(self, *words: str, code: int | None = 0) -> Done:
        """The folder's deploy over its inventory, without gates unless they are asked for."""
        gate = () if "--samples" in words else ("--samples", "0")
        return self.run("deploy.py", "-i", "inventory.py", "--yes", *gate, *words, code=code)

    def begin(self, *words: str, output: Path | None = None, kill_after: int | None = None) -> int:
        """Run a command in a process of its own, and return its id. It kills itself after so many events."""
        pid = os.fork()
        if pid:
            return pid
        try:
            if kill_after is not None:
                _kill_after(kill_after)
            with (output or Path(os.devnull)).open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                sys.stdout = sys.stderr = file
                os._exit(main(words))
        finally:
            os._exit(99)

    def ran(self) -> list[str]:
        """The hosts on which the deploy ran, in order."""
        path = self.folder / "ran"
        return path.read_text().split() if path.exists() else []

    def shown(self) -> dict[str, Any]:
        """How the newest rollout stands."""
        found: dict[str, Any] = json.loads(self.run("show", "--json").stdout)
        return found

    def states(self) -> dict[str, str]:
        """Of each host."""
        return {name: host["state"] for name, host in self.shown()["hosts"].items()}


def _kill_after(events: int) -> None:
    add, count = Journal.add, 0

    def counted(self: Journal, event: Event) -> None:
        nonlocal count
        add(self, event)
        count += 1
        if count == events:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.add = counted  # type: ignore[method-assign]


def ended(pid: int) -> int:
    """The exit code of a process that was begun; minus the signal that killed it. Fails after 60 s."""
    found: list[int] = []

    def gone() -> bool:
        pid_there, status = os.waitpid(pid, os.WNOHANG)
        if pid_there:
            found.append(os.waitstatus_to_exitcode(status))
        return bool(pid_there)

    until(gone, f"the process {pid} ended")
    return found[0]


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for it. Raises AssertionError after 60 s."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"not within 60 s: {what}"
        time.sleep(0.02)
