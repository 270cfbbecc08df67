"""Runs on a host, as the agent's user and with the agent's own code: what the agent writes in a day without home.

The clock is an argument to that code, so the day takes seconds. `python a_day.py FOLDER START END INTERVAL` judges a
check and composes a report at each interval from START to END, all in seconds, into the spool of a state folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agent.checks.runner import Judged, Memory
from agent.config.schema import HomeOptions
from agent.daemon.ledger import Ledger
from agent.home import identity
from agent.home.reporter import Reporter
from agent.home.spool import Spool
from agent.state import State
from wire.report import CheckState, Event, Reading

HOUR = 3600
"""Seconds between two events."""
READINGS = 30
"""In each report."""


def main(folder: Path, start: float, end: float, interval: float) -> None:
    """Fill the spool."""
    found = identity.load(folder)
    assert found is not None
    state, bounds = State.open(folder), HomeOptions()
    ledger = Ledger(state, "a-day")
    ledger.reporting = True
    reporter = Reporter(state, Spool(state), host=found.host, boot="a-day")
    number = 0
    now = start
    while now < end:
        check = CheckState(name="day", kind="cpu", state="ok", message="all day", since=start, time=now)
        readings = [Reading("day", "number", float(number), "", {"series": str(n)}, now) for n in range(READINGS)]
        memory = Memory(kind="cpu", state="ok", since=start)
        ledger.judged(Judged(state=check, readings=readings, memory=memory, event=None))
        if (now - start) % HOUR == 0:
            ledger.event(Event(time=now, kind="test.hour", message=f"report {number}", check="day"))
        ledger.flush(now)
        reporter.compose(
            facts={},
            interval=interval,
            now=now,
            max_size=int(bounds.spool_max_size),
            max_age=float(bounds.spool_max_age),
        )
        number += 1
        now = start + number * interval
    state.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(float, sys.argv[2:]))
