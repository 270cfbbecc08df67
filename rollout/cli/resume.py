"""`hostward-rollout resume`: go on where it was, and rerun only what is not done."""

from __future__ import annotations

import argparse
import getpass
import platform
import time

from kit.commands import Command
from rollout.child import Engine
from rollout.cli import options as shared
from rollout.cli.aside import aside
from rollout.cli.go import go
from rollout.events import Resumed
from rollout.journal import Journal, find
from rollout.missed import tell_missed


def _configure(parser: argparse.ArgumentParser) -> None:
    shared.rollout(parser)
    shared.as_json(parser)


def _run(options: argparse.Namespace) -> int:
    journal = Journal.resume(find(options.id))
    state = journal.state
    if not state.left() and state.record.state == "done":
        journal.close()
        print(f"{state.started.id}: all hosts are done")
        tell_missed(aside)
        return 0
    journal.add(Resumed(time=time.time(), who=f"{getpass.getuser()}@{platform.node()}"))
    with Engine() as engine:
        return go(journal, engine, as_json=options.json)


RESUME = Command(
    run=_run,
    configure=_configure,
    examples="""\
  hostward-rollout resume
  hostward-rollout resume 20261122-031500-a1b2c3""",
    notes="""\
Hosts that failed, that were being worked on, and that were not reached yet are run; those that are done are not.
exit codes: as for run.""",
)
