"""`make bench`, or `python -m benchmarks [NAME…]`: run benchmarks one after another and print their tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

from benchmarks import agent_rest, backup, history, ingest, logs, startup
from benchmarks.backup import databases, home
from benchmarks.logs import analyse
from benchmarks.rollout import run as rollout
from benchmarks.rollout import waves
from benchmarks.tables import Table, machine

BENCHMARKS: dict[str, Callable[[bool], Iterator[Table]]] = {
    "startup": startup.run,
    "agent-rest": agent_rest.run,
    "history": history.run,
    "ingest": ingest.run,
    "backup": backup.run,
    "backup-home": home.run,
    "backup-databases": databases.run,
    "logs": logs.run,
    "logs-analyse": analyse.run,
    "rollout": waves.run,
    "rollout-hosts": rollout.run,
}


def main() -> int:
    """Print every table as it is ready."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", choices=["all", *BENCHMARKS], default="all", help="which (all)")
    parser.add_argument("--quick", action="store_true", help="shorter, to see that they run; the figures say little")
    options = parser.parse_args()
    print(machine(), flush=True)
    for name in BENCHMARKS if "all" in options.name else options.name:
        for table in BENCHMARKS[name](options.quick):
            print(f"\n{table}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
