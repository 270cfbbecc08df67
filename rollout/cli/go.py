"""Run what is left of a rollout, as whoever started it watches."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.errors import HostwardError
from kit.terminal import clean
from rollout.child import Engine
from rollout.cli.aside import aside, nobody
from rollout.home import AtHome
from rollout.journal import Journal, rollouts, untold
from rollout.leases import FileStore, HomeStore
from rollout.missed import tell_missed
from rollout.runner import Runner
from rollout.show import Show
from rollout.show.as_json import AsJson
from rollout.show.lines import Lines
from rollout.show.live import Live
from rollout.show.output import put

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PARTLY = 3
INTERRUPTIBLE = "Ctrl-C pauses after this wave; a second one stops at once"


def go(journal: Journal, engine: Engine, *, as_json: bool) -> int:
    """Run it to its end. Returns 0 when all hosts are done, 1 when it failed or was aborted, 3 when it was paused or
    some hosts failed that were allowed to. Raises HostwardError."""
    show = watching(as_json=as_json)
    settings = journal.state.settings
    home = None
    if settings.home is not None:
        home = AtHome(Path(settings.home), required=settings.home_required, complain=show.say)
    file = FileStore(rollouts() / "leases.json")
    runner = Runner(journal, engine, show, file if home is None else HomeStore(home, file), home)
    show.event(journal.state.started, journal.state)
    try:
        with _interrupting(runner, show):
            ended = runner.run()
    finally:
        show.end()
        if home is not None:
            home.close()
        journal.close()
    state = journal.state
    if not as_json:
        put(summary(journal, ended) + "\n")
    if untold(journal.folder, 0.0) is None:  # Home answers: it may have missed others.
        tell_missed(nobody if as_json else aside)
    if ended == "done":
        return PARTLY if state.failures() else 0
    return PARTLY if ended == "paused" else HostwardError.exit_code


def watching(*, as_json: bool) -> Show:
    """A table on a terminal that can redraw it, lines elsewhere."""
    if as_json:
        return AsJson()
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return Live()
    return Lines()


def summary(journal: Journal, ended: str) -> str:
    """What came of it, and what to do next."""
    state = journal.state
    counts: dict[str, int] = {}
    for record in state.hosts.values():
        counts[record.state] = counts.get(record.state, 0) + 1
    said = [f"{state.started.id}: {ended}; hosts: " + ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))]
    said += [f"  {host}: {clean(state.hosts[host].message)}" for host in state.failures()]
    if ended != "done" or state.failures():
        said.append(f"next: hostward-rollout resume {state.started.id}, which reruns only what is not done")
        said.append(f"      what pyinfra printed: {journal.folder}/wave-*.log")
    return "\n".join(said)


@contextmanager
def _interrupting(runner: Runner, show: Show) -> Iterator[None]:
    """Signals that ask for an end are heard between two steps, not in the middle of one."""

    def heard(_number: int, _frame: object) -> None:
        runner.interrupt()

    before = {number: signal.signal(number, heard) for number in STOPS}
    if isinstance(show, Live):
        show.say(INTERRUPTIBLE)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
