"""`hostward backup unlock`: locks that were left behind."""

from __future__ import annotations

import argparse
import time

from agent.cli.backup.access import opened
from agent.cli.backup.output import plural
from backup.format.lock import Lock
from backup.repository.locks import owner, remove_locks
from kit.commands import Command
from kit.terminal import clean


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its one option."""
    parser.add_argument("--remove-all", action="store_true", help="also those of processes that may be at work")


def run(options: argparse.Namespace) -> int:
    """Remove them, and say which."""
    silent = options.quiet or options.json  # restic has no JSON for it
    now = time.time_ns()

    def tell(name: str, lock: Lock | None) -> None:
        if not silent:
            print(f"lock {name[:8]}: " + (clean(owner(lock, now)) if lock else "could not be read"))

    with opened(options, "none") as repository:
        count = remove_locks(repository, all=options.remove_all, now=now, on_removed=tell)
    if not silent:
        print(f"removed {plural(count, 'lock')}")
    return 0


UNLOCK = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup unlock                removes locks of this host's dead processes, and those half an hour old
  hostward backup unlock --remove-all   when surely nobody works on the repository""",
    notes="exit codes: 0 done, also if there was none; 1 failed; 2 bad usage; 10 no repository; 12 wrong password.",
)
