"""A long life in a short time: nothing piles up.

`make soak` is a life of eleven days; without SOAK_TICKS it is one of three and a half hours.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from agent.home import identity
from agent.home.spool import Spool
from agent.state import State
from tests.agent.home.server import Home

TICKS = int(os.environ.get("SOAK_TICKS", "12500"))
CONFIGURATION = """
[agent]
default_checks = false

[home]
interval = "1m"
spool_max_size = "1MiB"

[checks.memory]
every = "1s"
[checks.cpu]
every = "5s"
[checks.disk]
every = "1m"
[checks.there]
type = "tcp"
every = "3m"
host = "127.0.0.1"
port = {port}
[checks.plugin]
type = "command"
every = "3m"
command = ["sh", "-c", "echo fine '|' a=1"]
[checks.missing]
type = "command"
every = "5m"
command = ["/no/such/program"]

[jobs.often]
every = "5m"
command = ["true"]
[jobs.failing]
every = "10m"
command = ["false"]
"""


@pytest.mark.timeout(max(300, TICKS // 100))
def test_nothing_piles_up_in_thousands_of_ticks(tmp_path: Path) -> None:
    """Descriptors, threads and children stay as many; memory and the database stay within bounds; home comes and
    goes, and has everything in the end."""
    folder, clock = tmp_path / "state", tmp_path / "clock"
    configuration = tmp_path / "agent.toml"
    clock.write_bytes(struct.pack("d", 0))
    with Home(tmp_path) as home, socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
        configuration.write_text(CONFIGURATION.format(port=listener.getsockname()[1]))
        home.clock = lambda: struct.unpack("d", clock.read_bytes())[0]
        with closing(State.open(folder)):
            key = identity.prepare_key(folder)
        identity.save(folder, collector=home.url, host="host-1", name="h", ca=home.ca.read_bytes())
        home.enroll(folder, key)
        threading.Thread(target=_greet, args=(listener,), daemon=True).start()
        command = [sys.executable, "-m", "tests.faults.soak", folder, configuration, str(TICKS), clock]
        held: list[dict[str, int]] = []
        with (tmp_path / "log").open("wb") as log, subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process:  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                held.append(json.loads(line))
                if len(held) in (3, 6):
                    home.disappear()
                elif len(held) in (4, 7):
                    home.appear()
        said = (tmp_path / "log").read_text()
        assert process.returncode == 0, said
        assert len(held) == 10 and "Traceback" not in said, said
        warm, last = held[2], held[-1]
        for what in ("descriptors", "threads", "children"):
            # A connection to home or a look at a folder may be under way at one moment and not at the other.
            assert last[what] <= warm[what] + 2, held
        assert last["rss"] <= warm["rss"] + (3 << 20), held
        assert max(one["database"] for one in held) < 8 << 20, held
        with closing(State.open(folder)) as state:
            waiting = Spool(state).waiting().reports
            assert all(check.state.state in ("ok", "critical", "unknown") for check in state.checks().values())
            assert len(state.runs("often")) >= min(TICKS // 300, 100) - 1  # more are not kept
        counts = home.marks.counts()
        taken = [reading for report in home.marks.taken for reading in report.readings]
        moments = {(reading.check, reading.name, str(reading.labels), reading.time) for reading in taken}
        assert len(moments) == len(taken), "a reading was counted twice"
        # Two of memory alone each second; what is there or counted as lost is all but what still waits.
        assert counts["readings"] > TICKS or waiting


def _greet(listener: socket.socket) -> None:
    """Take every connection of the check, and end it."""
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return
