"""What the waves' runner takes of the administrator's machine, beside pyinfra alone on the same simulated hosts."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.processes import environment
from benchmarks.tables import Table, ratio

HOSTS = 500
QUICK = 8
STEPS = 5
"""Operations of the deploy; the simulated hosts take no time for them."""
MEASURED = """
import json, sys
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from {module} import {function} as main
sys.argv[0] = {name!r}
try:
    code = main()
except SystemExit as end:
    code = end.code
own, others = getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)
# What getrusage says of one's own memory may be that of whoever started this.
[most] = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")]
found = [[own.ru_utime + own.ru_stime, most], [others.ru_utime + others.ru_stime, others.ru_maxrss]]
print(json.dumps(found), file=sys.stderr)
sys.exit(code)
"""
RUNNER = MEASURED.format(module="rollout.cli", function="main", name="hostward-rollout")
PYINFRA = MEASURED.format(module="pyinfra_cli.main", function="main", name="pyinfra")


def run(quick: bool) -> Iterator[Table]:
    """One run of each, one after another."""
    hosts = QUICK if quick else HOSTS
    with tempfile.TemporaryDirectory(prefix="hostward-bench-") as name:
        folder = Path(name)
        own = {"fake_delay": 0, "fake_delay_jitter": 0}
        listed = [(f"@fake/web{number}", own) for number in range(hosts)]
        (folder / "inventory.py").write_text(f"web = {listed!r}\n")
        (folder / "deploy.py").write_text(
            "from pyinfra.operations import server\n"
            f"for number in range({STEPS}):\n    server.shell(['true'], name=f'step {{number}}')\n"
        )
        waves = ["deploy.py", "-i", "inventory.py", "--no-home", "--samples", "0"]
        runs = {
            "pyinfra, all at once": _measured(folder, PYINFRA, ["inventory.py", "deploy.py", "-y"]),
            "hostward-rollout, the plan": _measured(folder, RUNNER, [*waves, "--plan"]),
        }
        if not quick:
            for share, how in (("100%", "all but the canary at once"), ("10%", "a tenth at once")):
                words = [*waves, "--yes", "--batch", share]
                runs[f"hostward-rollout, {how}"] = _measured(folder, RUNNER, words)
    wall = runs["pyinfra, all at once"][0]
    yield Table(
        f"A deploy of {STEPS} steps on {hosts} simulated hosts",
        ["run", "wall s", "over pyinfra", "own CPU s", "own RSS MB", "CPU s of the waves", "largest of them MB"],
        [
            [
                name,
                f"{took:.1f}",
                ratio(took, wall),
                *(f"{cpu:.2f} | {rss / 1024:.0f}" for cpu, rss in (mine, others)),
            ]
            for name, (took, mine, others) in runs.items()
        ],
        ["`--samples 0`: simulated hosts have no agent to be asked. Each wave is a process of its own."],
    )


def _measured(folder: Path, program: str, words: Sequence[str]) -> tuple[float, tuple[float, int], tuple[float, int]]:
    """Seconds of wall, and CPU seconds and KiB of the program and of its children."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=folder,
        env={**environment(folder), "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    took = time.perf_counter() - began
    own, others = json.loads(done.stderr.splitlines()[-1])
    return took, (own[0], own[1]), (others[0], others[1])
