"""`hostward-rollout pause` and `abort`: what another terminal asks of a rollout."""

from __future__ import annotations

import argparse
import time

from kit.commands import Command
from kit.errors import UsageError
from rollout.cli import options as shared
from rollout.cli.aside import aside
from rollout.events import Ended, HostEnded
from rollout.journal import Journal, ask, find, is_running
from rollout.missed import tell_missed
from rollout.runner import ABORTED


def _pause(options: argparse.Namespace) -> int:
    folder = find(options.id)
    if not is_running(folder):
        raise UsageError(f"{folder.name} does not run; there is nothing to pause")
    ask(folder, "pause")
    print(f"{folder.name} pauses after the wave that runs; hostward-rollout resume {folder.name} goes on with it")
    return 0


def _abort(options: argparse.Namespace) -> int:
    folder = find(options.id)
    if is_running(folder):
        ask(folder, "abort")
        print(f"{folder.name} stops now; what it began on hosts is left as it is")
        return 0
    journal = Journal.resume(folder)
    try:
        if journal.state.record.state not in ("aborted", "done"):
            for host in journal.state.running():
                journal.add(HostEnded(time=time.time(), host=host, state="failed", message=ABORTED))
            journal.add(Ended(time=time.time(), state="aborted", message="as was asked for, when nobody ran it"))
        print(f"{folder.name} is {journal.state.record.state}")
    finally:
        journal.close()
    tell_missed(aside)
    return 0


PAUSE = Command(
    run=_pause,
    configure=shared.rollout,
    examples="  hostward-rollout pause",
)
ABORT = Command(
    run=_abort,
    configure=shared.rollout,
    examples="  hostward-rollout abort 20261122-031500-a1b2c3",
)
