"""A real collector at an address that stays, which can be stopped, killed and started again."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.cli.dispatch import dispatch
from tests.agent.daemon.daemons import HOSTWARD, Agent, wait_for
from tests.collector.support import enrolment_token, initialise

COLLECTOR = Path(sys.executable).parent / "hostward-collector"


class Home:
    """`hostward-collector serve` on a folder that `init` has made."""

    def __init__(self, folder: Path, address: str = "127.0.0.1") -> None:
        self.folder = folder
        self.address = address
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.within: Sequence[str] = ()
        """What the server is started by: `strace`, `ip netns exec`, …"""
        initialise(folder, address)

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def launch(self) -> subprocess.Popen[bytes]:
        """Start to serve, and return at once."""
        words = ["serve", "--data-dir", str(self.folder), "--host", self.address, "--port", str(self.port)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*self.within, str(COLLECTOR), *words], stdout=log, stderr=log)
        return self.process

    def start(self) -> None:
        """Serve, and return when it does."""
        process = self.launch()
        wait_for(lambda: process.poll() is not None or "ready at" in self.said())
        assert process.poll() is None, self.said()

    def said(self) -> str:
        """The log of the last start."""
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        """Kill it, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def enrol(agent: Agent, home: Home, *, port: int | None = None, within: Sequence[str] = ()) -> None:
    """Let home, which serves, know the agent's host. `port` is for a way to home that is not the straight one,
    `within` for what the command is started by."""
    token = agent.state.parent / "token"
    token.write_text(enrolment_token(home.folder))
    words = ["enroll", "--collector", f"https://{home.address}:{port or home.port}"]
    words += ["--ca", str(home.folder / "ca.pem"), "--token-file", str(token), "--state-dir", str(agent.state)]
    if not within:
        assert dispatch(words) == 0
        return
    done = subprocess.run([*within, str(HOSTWARD), *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def acknowledged(agent: Agent) -> float:
    """When home last took a report; 0 for never."""
    known = agent.status().get("home")
    return (known and known["last_acknowledged"]) or 0.0


@contextlib.contextmanager
def home_in(folder: Path, address: str = "127.0.0.1") -> Iterator[Home]:
    """A home that is not started yet, and that does not outlive the test."""
    home = Home(folder, address)
    try:
        yield home
    finally:
        home.stop()
