"""`python -m tests.faults.soak FOLDER CONFIGURATION TICKS CLOCK`: a real daemon whose seconds last no time.

Its clocks stand still while it works or waits for a child, and jump to what is due next whenever it would sleep.
What it holds on to is measured ten times, and printed as JSON, one line each. The time goes into the file CLOCK, for
a home that is to live by it.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import struct
import sys
import threading
import time
from pathlib import Path

BEGAN = time.time()
LONGEST = 1.0
"""Seconds of the daemon in one step: those of its checks."""
MEASURED = 10
"""How often what it holds is measured."""


class Clock:
    """Seconds since the daemon's start."""

    def __init__(self, file: Path) -> None:
        file.write_bytes(struct.pack("d", BEGAN))
        with file.open("r+b") as shared:
            self._shared = mmap.mmap(shared.fileno(), 8)
        self.passed = 0.0

    def ticks(self) -> float:
        """CLOCK_BOOTTIME, as the daemon sees it."""
        return 1000.0 + self.passed

    def time(self) -> float:
        """The wall clock, as it sees that."""
        return BEGAN + self.passed

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.passed += seconds
        struct.pack_into("d", self._shared, 0, self.time())


def held(folder: Path) -> dict[str, int]:
    """What this process holds on to."""
    status = Path("/proc/self/status").read_text()
    rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "children": len(children),
        "rss": rss * 1024,
        "database": sum(path.stat().st_size for path in folder.glob("agent.db*")),
    }


def main(folder: Path, configuration: Path, ticks: int, file: Path) -> None:
    """Live through so many seconds."""
    clock = Clock(file)
    # Before anything takes it for a default of its own.
    time.time = clock.time
    from agent import clock as clocks
    from agent.daemon import loop
    from agent.jobs.supervisor import Jobs

    clocks.ticks = clock.ticks
    wait = Jobs.wait
    steps = ticks // MEASURED
    measured = 0

    def hasten(jobs: Jobs, timeout: float | None) -> None:
        nonlocal measured
        if jobs.running:
            wait(jobs, 1.0 if timeout is None else min(timeout, 1.0))
            return
        wait(jobs, 0)
        clock.advance(min(timeout or 0.0, LONGEST))
        # The daemon may take many of its seconds to stop, while it says good-bye to home.
        if measured < MEASURED and clock.passed >= (measured + 1) * steps and not jobs.running:
            measured += 1
            print(json.dumps(held(folder)), flush=True)
            if measured == MEASURED:
                os.kill(os.getpid(), signal.SIGTERM)

    Jobs.wait = hasten  # type: ignore[method-assign]
    loop.run(folder, configuration, must_exist=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
