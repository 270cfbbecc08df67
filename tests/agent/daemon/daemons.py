"""Real agents in folders of their own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from agent.cli.dispatch import dispatch

HOSTWARD = Path(sys.executable).parent / "hostward"
PATIENCE = 60.0
QUIET = "[agent]\ndefault_checks = false\n"


class Agent:
    """`hostward run` on a state folder, with a configuration file that need not exist."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.config = folder / "agent.toml"
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.within: Sequence[str] = without_privileges()
        """What the agent is started by."""
        self.program: Sequence[str] = [str(HOSTWARD)]

    def start(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start it, and return when it runs."""
        process = self.launch(**environment)
        wait_for(lambda: process.poll() is not None or "started" in self.said())
        assert process.poll() is None, self.said()
        return process

    def launch(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start it and return at once."""
        arguments = ["run", "--state-dir", str(self.state)]
        if self.config.exists():
            arguments += ["--config", str(self.config)]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*self.within, *self.program, *arguments],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return self.process

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def said(self) -> str:
        """The log of the last start."""
        return self.log.read_text(errors="replace")

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another command on the same state folder."""
        return hostward(*words, "--state-dir", str(self.state))

    def status(self) -> dict[str, Any]:
        """`hostward status --json`, in this process, for it is asked often; empty until there is a state."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
            dispatch(["status", "--json", "--state-dir", str(self.state)])
        found: dict[str, Any] = json.loads(said.getvalue() or "{}")
        return found

    def checks(self) -> dict[str, dict[str, Any]]:
        """How the checks stand, by name."""
        return {check["name"]: check for check in self.status().get("checks", [])}

    def wait_for_check(self, name: str, state: str) -> dict[str, Any]:
        """Return the check when it stands so."""
        found: dict[str, Any] = {}

        def stands() -> bool:
            found.update(self.checks().get(name, {}))
            return found.get("state") == state

        wait_for(stands)
        return found


@contextlib.contextmanager
def agent_in(folder: Path) -> Iterator[Agent]:
    """An agent that is not started yet, and that does not outlive the test."""
    agent = Agent(folder)
    try:
        yield agent
    finally:
        if agent.process is not None and agent.process.poll() is None:
            agent.process.kill()
            agent.process.wait()


def hostward(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [str(HOSTWARD), *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def wait_for(condition: Callable[[], bool], *, patience: float = PATIENCE) -> None:
    """Return when it holds; fail when it does not for long."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"it did not come about within {patience:.0f} s"
        time.sleep(0.05)


def without_privileges() -> list[str]:
    """What takes all capabilities from a program that root starts."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return []
    return ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"]
