"""`hostward-rollout resume`: go on where it was, and rerun only what is not done."""

from __future__ import annotations

import argparse
import getpass
import platform
import time
from collections.abc import Iterator
from contextlib import suppress

from kit.commands import Command
from rollout.child import Engine
from rollout.cli import options as shared
from rollout.cli.aside import aside
from rollout.cli.go import go
from rollout.events import Resumed
from rollout.journal import Journal, JournalError, find, ids, read, rollouts
from rollout.missed import tell_missed

_LOOKED_AT = 20
"""Rollouts, which may have long journals."""


def _configure(parser: argparse.ArgumentParser) -> None:
    shared.rollout(parser)
    shared.as_json(parser)


def _run(options: argparse.Namespace) -> int:
    journal = Journal.resume(find(options.id))
    state = journal.state
    if not state.left() and state.record.state == "done":
        journal.close()
        print(f"{state.started.id}: all hosts are done")
        if options.id is None:
            for name in _begun(other_than=state.started.id):
                print(f"{name} was begun and is not done: hostward-rollout resume {name}")
        tell_missed(aside)
        return 0
    journal.add(Resumed(time=time.time(), who=f"{getpass.getuser()}@{platform.node()}"))
    with Engine() as engine:
        return go(journal, engine, as_json=options.json)


def _begun(*, other_than: str) -> Iterator[str]:
    """Of the last rollouts, those that may be gone on with, the newest first."""
    for name in reversed(ids()[-_LOOKED_AT:]):
        with suppress(JournalError):
            if name != other_than and read(rollouts() / name).record.state not in ("done", "aborted"):
                yield name


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
