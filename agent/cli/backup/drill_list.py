"""`hostward backup drill` without a name: the drills of the configuration, and what is on record of them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from agent.backups.drill.verdict import missed_targets
from agent.backups.plan import next_run
from agent.backups.records import Book
from agent.cli.backup.output import ago, print_json
from agent.config.drills import DrillOptions
from agent.daemon.lock import is_held
from agent.timetable import in_words
from kit.errors import HostwardError
from kit.terminal import clean, table
from kit.units import format_duration, format_roughly
from wire.report import Drill


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A drill, as `--json` prints it; docs/backup.md describes it. Times are seconds since the epoch."""

    name: str
    description: str
    job: str
    kind: str
    schedule: str
    next: float | None
    """None while no agent runs, or where it is turned off."""
    running_since: float | None
    last: Drill | None


def show(drills: Mapping[str, DrillOptions], state: Path, *, as_json: bool) -> None:
    """Print them. Raises HostwardError where the state cannot be read."""
    book = Book(state, "drills", Drill)
    now = time.time()
    try:
        alive = is_held(state)
        listed = [_listed(name, drill, book, alive=alive, now=now) for name, drill in drills.items()]
    except OSError as error:
        raise HostwardError(
            f"{state} cannot be read: {error.strerror}; run as the agent's user or as root"
        ) from error
    if as_json:
        print_json({"drills": msgspec.to_builtins(listed)})
    elif not listed:
        print("no drills are configured")
    else:
        _print(listed, alive=alive)


def _print(drills: Sequence[Listed], *, alive: bool) -> None:
    now = time.time()
    head = ("drill", "job", "kind", "last", "point", "time", "next", "outcome")
    colours = [("",) * 7 + (_colour(drill),) for drill in drills]
    print(table(head, [_row(drill, now) for drill in drills], colours=colours))
    for drill in drills:
        if drill.last is not None and (what := _trouble(drill.last)):
            print(f"{clean(drill.name)}: {clean(what)}")
    if not alive:
        print("No agent runs here, so none is started by its timetable.")


def _listed(name: str, drill: DrillOptions, book: Book[Drill], *, alive: bool, now: float) -> Listed:
    runs, going_on = book.runs(name, last=1), book.going_on(name)
    due = next_run("drill", name, drill, now, host=os.uname().nodename)
    return Listed(
        name=name,
        description=drill.description,
        job=drill.backup,
        kind=drill.kind,
        schedule=in_words(drill) if drill.enabled else "",
        next=due if alive and drill.enabled else None,
        running_since=going_on[0].started if going_on else None,
        last=runs[-1].record.run if runs else None,
    )


def _row(drill: Listed, now: float) -> tuple[str, ...]:
    last = drill.last
    point, time = (None, None) if last is None else (last.recovery_point, last.recovery_time)
    return (
        drill.name,
        drill.job,
        drill.kind,
        ago(last.started if last else None, now),
        "-" if point is None else format_roughly(point),
        "-" if time is None else format_duration(time) if time < 60 else format_roughly(time),
        _next(drill, now),
        _outcome(drill, now),
    )


def _next(drill: Listed, now: float) -> str:
    if not drill.schedule:
        return "turned off"
    return "-" if drill.next is None else f"in {format_roughly(drill.next - now)}"


def _outcome(drill: Listed, now: float) -> str:
    if drill.running_since is not None:
        return f"running for {format_roughly(now - drill.running_since)}"
    if drill.last is None:
        return "never done"
    return drill.last.outcome if drill.last.outcome == "failed" or not missed_targets(drill.last) else "target missed"


def _trouble(last: Drill) -> str:
    return f"failed: {last.message}" if last.outcome == "failed" else "; ".join(missed_targets(last))


def _colour(drill: Listed) -> str:
    if drill.running_since is not None or drill.last is None:
        return ""
    if drill.last.outcome == "failed":
        return "critical"
    return "warning" if missed_targets(drill.last) else "ok"
