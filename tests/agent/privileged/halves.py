"""Root's half of the agent without systemd: a listener that starts it for each connection, and a `systemd-run` that
runs what it is told, without a sandbox."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from agent.jobs.limits import Limits
from agent.jobs.run import Ended
from agent.jobs.supervisor import Jobs

SERVE = """
import sys
from pathlib import Path
from agent.privileged import serve
serve.CONFIGURATION = Path(sys.argv[2])
serve.STATE = serve.CONFIGURATION.parents[2] / "state"
serve.CACHES = serve.CONFIGURATION.parents[2] / "caches"
serve.ASKING = float(sys.argv[3])
serve.main()
"""
SYSTEMD_RUN = """#!/bin/sh
# The real one's exit codes, without its units: one at a time of each, by a folder of its name.
echo "$*" >>"$0.log"
for word; do
    case $word in --unit=*) unit=${word#--unit=} ;; esac
done
while [ "$1" != -- ]; do shift; done
shift
place=$(dirname "$0")/../units/$unit
mkdir "$place" 2>/dev/null || { echo "Failed to start transient service unit: Unit $unit was already loaded" >&2
    exit 1; }
exec 3<&0
"$@" <&3 3<&- & pid=$!
echo $pid >"$place/pid"
wait $pid; code=$?
rm -r "$place"
[ $code -lt 128 ] || code=255
exit $code
"""
SYSTEMCTL = """#!/bin/sh
# `systemctl stop UNIT`
echo "$*" >>"$0.log"
pid=$(cat "$(dirname "$0")/../units/$2/pid")
pkill -KILL -P "$pid"
kill -KILL "$pid"
"""


class RootHalf:
    """It listens under `root`, and has its configuration in `root`/etc/hostward."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.place = root / "run/hostward-jobs.sock"
        self.configuration = root / "etc/hostward/agent.toml"
        self.programs = root / "bin"
        self.patience = 5.0
        self.environment: dict[str, str] = {}
        """What systemd adds to it."""
        self.gate = threading.Lock()
        """Who holds it keeps connections from being answered."""
        for folder in (self.place.parent, self.configuration.parent, self.programs, root / "units"):
            folder.mkdir(parents=True)
        for name, text in (("systemd-run", SYSTEMD_RUN), ("systemctl", SYSTEMCTL)):
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)
        self.configure("")
        self._started: list[subprocess.Popen[bytes]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.place))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def configure(self, text: str) -> None:
        self.configuration.write_text(text)

    def said(self, name: str = "systemd-run") -> str:
        """How the program was called."""
        log = self.programs / f"{name}.log"
        return log.read_text() if log.exists() else ""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for process in self._started:
            process.kill()
            process.wait()

    def _serve(self) -> None:
        environment = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"}
        words = [sys.executable, "-c", SERVE, "caller.service", str(self.configuration), str(self.patience)]
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, self.gate:
                self._started.append(subprocess.Popen(words, stdin=connection, env=environment | self.environment))

    def ask(self, request: bytes, *, close: bool = False) -> bytes:
        """Say it, and hear the answer out."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(60)
            link.connect(str(self.place))
            link.sendall(request)
            if close:
                link.shutdown(socket.SHUT_WR)
            answer = b""
            # It may go away with something of the request unread.
            with contextlib.suppress(ConnectionResetError):
                while chunk := link.recv(65536):
                    answer += chunk
            return answer


@contextlib.contextmanager
def root_half(root: Path) -> Iterator[RootHalf]:
    """It ends with the block."""
    half = RootHalf(root)
    try:
        yield half
    finally:
        half.close()


class Daemon:
    """The daemon's part in it."""

    def __init__(self, half: RootHalf) -> None:
        self.half = half
        self.selector = selectors.DefaultSelector()
        self.jobs = Jobs(self.selector)
        self.ended: list[Ended] = []

    def start(self, request: bytes, name: str = "job", seconds: float = 60.0) -> bool:
        limits = Limits(time=seconds)
        return self.jobs.start_remote(name, self.half.place, request, limits=limits, on_end=self.ended.append)

    def run(self, request: bytes, seconds: float = 60.0) -> Ended:
        """One run, to its end."""
        assert self.start(request, seconds=seconds)
        deadline = time.monotonic() + 90
        while self.jobs.running:
            assert time.monotonic() < deadline
            self.jobs.wait(1)
        return self.ended[-1]

    def close(self) -> None:
        self.jobs.stop(1)
        self.selector.close()
