"""How long commands take to start, beside the interpreter alone."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks.processes import BIN, environment
from benchmarks.tables import Table

BARE = "python -c pass"
BUDGETS = {"hostward --version": "2.5 ×, stretch 2 ×"}


def run(quick: bool) -> Iterator[Table]:
    """Rounds of all commands in turn, so that what else the machine does falls on all alike."""
    with tempfile.TemporaryDirectory(prefix="hostward-bench-") as name:
        folder = Path(name)
        (folder / "agent.toml").touch()
        commands: dict[str, Sequence[object]] = {
            BARE: [sys.executable, "-c", "pass"],
            "hostward --version": [BIN / "hostward", "--version"],
            "hostward --help": [BIN / "hostward", "--help"],
            "hostward config check": [BIN / "hostward", "config", "check", "--config", folder / "agent.toml"],
            "hostward-collector --version": [BIN / "hostward-collector", "--version"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(4 if quick else 41):
            for name, command in commands.items():
                began = time.perf_counter()
                subprocess.run(
                    list(map(str, command)), env=environment(folder), stdout=subprocess.DEVNULL, check=True
                )
                if number:  # the first round fills caches
                    times[name].append(time.perf_counter() - began)
    yield Table(
        "Start",
        ["command", "median ms", "over the interpreter alone", "budget"],
        [
            [
                f"`{name}`",
                f"{1000 * median(taken):.1f}",
                f"{median(one / bare for one, bare in zip(taken, times[BARE], strict=True)):.2f} ×",
                BUDGETS.get(name, ""),
            ]
            for name, taken in times.items()
        ],
        [f"Median of {len(times[BARE])} rounds; the ratio is the median of each round's own."],
    )
