"""`hostward status`: how this host stands, read beside the running agent."""

from __future__ import annotations

import argparse
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.daemon import running as daemon
from agent.daemon.lock import is_held
from agent.home import identity
from agent.home import status as home_status
from agent.home.identity import IdentityError
from agent.home.spool import Spool
from agent.paths import state_folder
from agent.state import State, StateError
from kit.commands import Command
from kit.jsontext import json_text
from kit.terminal import clean, paint, table
from kit.units import format_duration, format_size
from wire import report
from wire.report import SEVERITY, CheckState, Event, Gap, MaintenanceWindow

EVENTS_SHOWN = 5
SILENT = 60.0
"""Seconds, beyond the shortest interval, without news of any check: then the state is not being written."""


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon that runs, or that last ran."""

    running: bool
    pid: int | None
    started: float | None
    version: str | None
    configuration: str | None
    state_dir: str


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Reports that home has not acknowledged."""

    reports: int
    bytes: int
    oldest: float | None


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """Where reports go, and how that stands."""

    collector: str | None
    host: str | None
    name: str | None
    last_acknowledged: float | None
    error: str | None
    error_since: float | None
    next_attempt: float | None
    window: MaintenanceWindow | None
    """In force now, by what home said last; until when by this host's clock."""
    waiting: Waiting


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints; docs/agent.md describes it. Times are seconds since the epoch."""

    time: float
    agent: Agent
    state: report.State
    problem: str | None
    """Why what follows may be old, where it may."""
    checks: list[CheckState]
    home: Home | None
    gaps: list[Gap]
    events: list[Event]


def configure(parser: argparse.ArgumentParser) -> None:
    """Its one option."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print the status; 1 where no agent runs on the folder."""
    folder = state_folder(options.state_dir).absolute()
    state = State.read(folder)
    try:
        status = gather(state, running=_is_running(folder), now=time.time())
    except sqlite3.Error as error:
        raise StateError(f"{state.folder} cannot be read: {error}") from error
    finally:
        state.close()
    if options.json:
        print(json_text(status))
    else:
        print("\n".join(lines(status)))
    return 0 if status.agent.running else 1


def gather(state: State, *, running: bool, now: float) -> Status:
    """All of it, from the state. Raises sqlite3.Error."""
    last = daemon.load(state)
    checks = [stored.state for stored in state.checks().values()]
    return Status(
        time=now,
        agent=Agent(
            running=running,
            pid=last.pid if last and running else None,
            started=last.started if last else None,
            version=last.version if last else None,
            configuration=last.configuration if last else None,
            state_dir=str(state.folder),
        ),
        state=max((check.state for check in checks), key=SEVERITY.index, default="unknown"),
        problem=problem(checks, folder=state.folder, running=running, now=now),
        checks=checks,
        home=_home(state, now),
        gaps=state.gaps(),
        events=state.events(EVENTS_SHOWN),
    )


def problem(checks: Sequence[CheckState], *, folder: Path, running: bool, now: float) -> str | None:
    """Why the checks may be older than they should be."""
    measured = [check for check in checks if check.interval]
    newest = max((check.time for check in measured), default=None)
    if not running:
        return None if newest is None else f"no agent is running: what follows is from {_age(now - newest)} ago"
    if newest is not None and now - newest > SILENT + min(check.interval for check in measured):
        full = os.statvfs(folder).f_bavail == 0
        return f"nothing was kept for {_age(now - newest)}" + (f": the disk of {folder} is full" if full else "")
    return None


def lines(status: Status) -> list[str]:
    """The same for people."""
    agent, now = status.agent, status.time
    if agent.running and agent.started is not None:
        text = f"running for {_age(now - agent.started)}, version {agent.version}, process {agent.pid}"
        said = [f"agent   {text}"]
    else:
        said = [f"agent   {paint('not running', 'critical')} on {agent.state_dir}"]
    counts = [(state, sum(check.state == state for check in status.checks)) for state in reversed(SEVERITY)]
    parts = ", ".join(f"{count} {state}" for state, count in counts if count)
    said.append(f"checks  {paint(status.state, status.state)}: {parts or 'none has run yet'}")
    said += [f"home    {clean(line)}" for line in _home_lines(status.home, now)]
    said += [f"lost    {line}" for line in map(_gap_line, status.gaps)]
    if status.problem:
        said.append(f"        {paint(status.problem, 'warning')}")
    if status.checks:
        rows = [
            (check.name, check.state, _age(now - check.since), _age(now - check.time), check.message)
            for check in status.checks
        ]
        colours = [("", check.state, "", "", "") for check in status.checks]
        said += ["", table(("check", "state", "for", "age", "message"), rows, colours=colours)]
    return said


def _home(state: State, now: float) -> Home | None:
    found = error = None
    try:
        found = identity.load(state.folder)
    except IdentityError as problem:
        error = str(problem)
    if found is None and error is None:
        return None
    kept, waiting = home_status.load(state), Spool(state).waiting()
    return Home(
        collector=found.collector if found else None,
        host=found.host if found else None,
        name=found.name if found else None,
        last_acknowledged=kept.last_acknowledged,
        error=error or kept.error,
        error_since=kept.error_since,
        next_attempt=kept.next_attempt,
        window=home_status.window_in_force(kept, now),
        waiting=Waiting(reports=waiting.reports, bytes=waiting.bytes, oldest=waiting.oldest),
    )


def _home_lines(home: Home | None, now: float) -> list[str]:
    if home is None:
        return ["none (hostward enroll makes this host known to a collector)"]
    last = "never" if home.last_acknowledged is None else f"{_age(now - home.last_acknowledged)} ago"
    said = [f"{home.collector or '?'} as {home.name or '?'}, last report acknowledged {last}"]
    if home.window is not None:
        why = f": {home.window.reason}" if home.window.reason else ""
        said.append(f"maintenance for another {_age(home.window.until - now)}{why}")
    if home.waiting.reports and home.waiting.oldest is not None:
        count = f"{home.waiting.reports} report{'s' if home.waiting.reports > 1 else ''}"
        age = _age(now - home.waiting.oldest)
        said.append(f"{count} ({format_size(home.waiting.bytes)}) waiting for up to {age}")
    if home.error is not None:
        since = f" (for {_age(now - home.error_since)})" if home.error_since is not None else ""
        again = ""
        if home.next_attempt is not None and home.next_attempt > now:
            again = f"; next attempt in {_age(home.next_attempt - now)}"
        said.append(f"{home.error}{since}{again}")
    return said


def _gap_line(gap: Gap) -> str:
    counted = (
        (gap.readings, "readings"),
        (gap.events, "events"),
        (gap.job_results, "results of jobs"),
        (gap.reports, "reports"),
    )
    what = ", ".join(f"{count} {noun}" for count, noun in counted if count) or "an unknown number of readings"
    return f"{what}, {_moment(gap.since)} to {_moment(gap.until)} ({gap.reason.replace('_', ' ')})"


def _is_running(folder: Path) -> bool:
    try:
        return is_held(folder)
    except OSError as error:
        raise StateError(f"{folder} cannot be read: {error.strerror}; run as the agent's user or as root") from error


def _age(seconds: float) -> str:
    """Coarse, as people say it."""
    for unit in (86400.0, 3600.0, 60.0):
        if seconds >= 2 * unit:
            return format_duration(seconds // unit * unit)
    return format_duration(max(0, round(seconds)))


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


STATUS = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward status
  hostward status --json | jq '.checks[] | select(.state != "ok")'""",
    notes="""\
It reads what the agent keeps in its state folder, so it needs the rights of the agent's user, or root's.
exit codes: 0 the agent is running (whatever its checks say: hostward check tells that), 1 it is not, or failed.""",
)
