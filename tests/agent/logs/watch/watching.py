"""`hostward logs watch` as it runs on a host, and logs that are written meanwhile."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import zstandard

from agent.logs.watch import status
from agent.logs.watch.status import RuleStatus, StatusError
from tests.agent.daemon.daemons import HOSTWARD

LONG = 60.0
"""Seconds that a busy machine may take for what takes a moment."""

RUN = """
import sys
from agent.cli.main import main
{patch}
sys.exit(main(sys.argv[1:]))
"""


class Host:
    """A configuration with rules, a folder of logs, and a state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "agent.toml"
        self.logs = folder / "log"
        self.logs.mkdir()
        self.state = folder / "state"
        self._said = folder / "said"
        self.configure()

    @property
    def said(self) -> str:
        """What the watchers have said so far."""
        return self._said.read_text()

    def configure(self, *rules: str, **options: str) -> None:
        """A rule `app` for `log/*.log` with these options, written as TOML, and more tables; at once, as editors do
        it."""
        given = {"name": '"app"', "paths": f'["{self.logs}/*.log"]', **options}
        table = "[[logs]]\n" + "\n".join(f"{name} = {value}" for name, value in given.items())
        fresh = self.file.with_name("fresh")
        fresh.write_text("\n".join([table if options else "", *rules]) + "\n")
        fresh.rename(self.file)

    def told(self, rule: str = "app") -> RuleStatus:
        """What the watcher tells of a rule; nothing yet is the same as nothing."""
        try:
            found = status.read(self.state / "logs" / status.NAME, owners=frozenset({os.geteuid()}))
        except (FileNotFoundError, StatusError):
            return RuleStatus()
        return found.rules.get(rule, RuleStatus())

    def old(self, log: str = "app.log") -> list[Path]:
        """The old ones of a log."""
        return sorted(path for path in self.logs.glob(f"{log}?*") if not path.name.startswith("."))

    @contextmanager
    def watching(self, *, patch: str = "") -> Iterator[subprocess.Popen[str]]:
        """The watcher, ready; it ends well. `patch` is Python that it runs before."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HOSTWARD_")}
        words = ["logs", "watch", "--config", str(self.file), "--state-dir", str(self.state)]
        argv = [sys.executable, "-c", RUN.format(patch=patch)] if patch else [str(HOSTWARD)]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            address = f"\0hostward-test-{os.getpid()}-{time.monotonic_ns()}"
            listener.bind(address)
            listener.settimeout(LONG)
            environment["NOTIFY_SOCKET"] = "@" + address[1:]
            with self._said.open("a") as said:
                child = subprocess.Popen([*argv, *words], env=environment, stderr=said, text=True)
            try:
                while b"READY=1" not in listener.recv(1000):
                    pass
                yield child
                if child.poll() is None:
                    child.send_signal(signal.SIGTERM)
                    assert child.wait(LONG) == 0
            finally:
                child.kill()
                child.wait()


def until(is_so: Callable[[], object], *, what: str = "") -> None:
    """Wait until it is so."""
    end = time.monotonic() + LONG
    while not is_so():
        assert time.monotonic() < end, what or "it did not come to be"
        time.sleep(0.02)


def lines_of(paths: Sequence[Path]) -> list[str]:
    """The lines of logs and old logs, in the order of the paths."""
    found: list[str] = []
    for path in paths:
        data = path.read_bytes()
        if path.suffix == ".zst":
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        elif path.suffix == ".gz":
            data = gzip.decompress(data)
        found += data.decode().splitlines()
    return found


WRITER = """
import os, sys, time
path, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
log = open(path, "a")
for number in range(count):
    if number % 50 == 0:
        time.sleep(0.005)
        try:
            same = os.stat(path).st_ino == os.fstat(log.fileno()).st_ino
        except FileNotFoundError:
            same = False
        if not same:
            log.close()
            log = open(path, "a")
    log.write(f"{number:08}".ljust(size - 1, ".") + "\\n")
    log.flush()
"""


@contextmanager
def writing(path: Path, count: int, size: int = 100) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes numbered lines of `size` bytes, and opens the log anew when it was rotated."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(count), str(size)])
    try:
        yield writer
    finally:
        writer.kill()
        writer.wait()
