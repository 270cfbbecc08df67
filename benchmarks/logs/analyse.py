"""Analysis of an access log beside goaccess: the same log, the same minutes, whole processes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.logs.corpora import access_log
from benchmarks.measure import Run, measure
from benchmarks.processes import BIN, environment
from benchmarks.tables import Table, ratio

MIB = 1 << 20
SIZE = 1024 * MIB
VISITORS = 400_000
ROUNDS = 2
BUDGET = "≥ 60 MB/s, ≥ 10 × goaccess, < 150 MB"


def run(quick: bool) -> Iterator[Table]:
    """A log with many visitors: what is counted by name does not fit into memory that is bounded."""
    size = MIB if quick else SIZE
    with tempfile.TemporaryDirectory(prefix="hostward-bench-") as folder:
        place = Path(folder)
        log = place / "access.log"
        access_log(log, size, number=VISITORS)
        ways: dict[str, list[object]] = {
            "hostward logs analyse": [
                *(BIN / "hostward", "logs", "analyse", log, "--json", "--state-dir", place / "state"),
            ]
        }
        one = min(os.sched_getaffinity(0))
        ways["the same, on one processor"] = ["taskset", "--cpu-list", one, *ways["hostward logs analyse"]]
        if program := shutil.which("goaccess"):
            options = ("--log-format=COMBINED", "--no-progress", "--no-global-config", "-o", place / "goaccess.json")
            ways["goaccess"] = [program, log, *options]
        runs: dict[str, list[Run]] = {name: [] for name in ways}
        for _ in range(1 if quick else ROUNDS):
            for name, command in ways.items():
                runs[name].append(measure(command, environment(place), place / "said"))
        peaks = {
            name: measure(command, environment(place), place / "said", memory=True).pss
            for name, command in ways.items()
        }
    theirs = runs.get("goaccess")
    rows = []
    for name, each in runs.items():
        seconds = median(one.seconds for one in each)
        paired = median(two.seconds / one.seconds for one, two in zip(each, theirs, strict=True)) if theirs else None
        rows.append(
            [
                name,
                f"{seconds:.1f} ({median(one.cpu for one in each):.1f})",
                f"{size / 1e6 / seconds:.1f}",
                f"{peaks[name] / 1e6:.0f}",
                "goaccess is not here" if paired is None else ratio(paired, 1.0),
                BUDGET if name == "hostward logs analyse" else "",
            ]
        )
    yield Table(
        f"Analysis of an access log, {size / MIB:.0f} MiB, {VISITORS:,} visitors",
        ["way", "wall s (CPU s)", "MB/s", "MB of memory", "goaccess over it", "budget"],
        rows,
        [
            "Medians of rounds in turn, whole processes, the log in the page cache. Memory is that of all processes "
            "at its peak (PSS), in a run of its own."
        ],
    )
