"""An agent that has something to tell of everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from agent.home import identity, status
from agent.home.spool import Spool
from agent.metrics.told import Told
from agent.paths import System
from agent.state import State
from tests.wire.reports import FULL
from wire.report import CheckState, Gap, JobResult, Reading

NOW = 1_800_000_000.0


def check(name: str, state: str = "ok", kind: str = "disk") -> CheckState:
    """A check that stands so."""
    return CheckState(
        name=name,
        kind=kind,
        state=state,
        message="",
        since=NOW - 60,
        time=NOW,
        duration=0.25,
        interval=15,  # type: ignore[arg-type]
    )


def told_of_all(folder: Path, readings: Mapping[str, Sequence[Reading]] | None = None) -> Told:
    """Checks in two states, a job that failed after it had succeeded, a home, a spool with a report, gaps."""
    with closing(State.open(folder)) as state, state.transaction():
        for started, outcome in ((NOW - 7200, "done"), (NOW - 3600, "failed")):
            run = JobResult(name="dump", started=started, finished=started + 5, outcome=outcome, cpu=1, peak_memory=9)  # type: ignore[arg-type]
            state.add_run(run, keep=10)
        state.add_gap(Gap(reason="size", since=1, until=2, readings=40, events=1, job_results=2, reports=3))
        Spool(state).add(FULL)
        status.save(state, status.HomeStatus(last_acknowledged=NOW - 30, error="no answer", error_since=NOW - 20))
    (folder / identity.IDENTITY).touch()
    checks = [check("root"), check("web", "critical", "http"), check("config", kind="config"), check("job:dump")]
    return Told(System(), folder, "1.2.3", {each.name: each for each in checks}, readings or {})
