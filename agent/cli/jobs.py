"""`hostward jobs`: the configured jobs, their last runs and their next ones."""

from __future__ import annotations

import argparse
import os
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from agent.config.load import load
from agent.config.schema import JobOptions
from agent.daemon import running
from agent.daemon.lock import is_held
from agent.daemon.programs import RUNNING
from agent.paths import configuration_file, state_folder
from agent.state import State, StateError
from agent.timetable import in_words, next_due
from kit.commands import Command
from kit.errors import UsageError
from kit.jsontext import json_text
from kit.terminal import table
from kit.units import format_duration, format_size
from wire.report import JobResult


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job, as `--json` prints it; docs/agent.md describes it. Times are seconds since the epoch."""

    name: str
    description: str
    schedule: str
    enabled: bool
    running_since: float | None
    next_run: float | None
    """None while no agent runs, or while it is turned off."""
    last_run: JobResult | None


def configure(parser: argparse.ArgumentParser) -> None:
    """A name, and the one option."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="show this job's runs")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print the jobs, or the runs of one."""
    folder = state_folder(options.state_dir).absolute()
    try:
        alive = is_held(folder)
        state = State.read(folder) if alive or folder.exists() else None
    except OSError as error:
        raise StateError(f"{folder} cannot be read: {error.strerror}; run as the agent's user or as root") from error
    try:
        file, named = _file(options.config, state if alive else None)
        jobs = load(file, must_exist=named).jobs
        if options.name is not None:
            runs = state.runs(options.name) if state else []
            if options.name not in jobs and not runs:
                known = f"; there are {', '.join(jobs)}" if jobs else ""
                raise UsageError(f'there is no job "{options.name}" in {file}{known}')
            _print_runs(runs, as_json=options.json)
        else:
            _print_jobs(gather(jobs, state, alive=alive, now=datetime.now(UTC)), as_json=options.json)
    except sqlite3.Error as error:
        raise StateError(f"{folder} cannot be read: {error}") from error
    finally:
        if state is not None:
            state.close()
    return 0


def gather(jobs: dict[str, JobOptions], state: State | None, *, alive: bool, now: datetime) -> list[Job]:
    """The jobs in the order of the configuration. Raises sqlite3.Error."""
    last = state.last_runs() if state else {}
    begun = state.items(RUNNING) if state and alive else {}
    host = os.uname().nodename
    return [
        Job(
            name=name,
            description=job.description,
            schedule=in_words(job),
            enabled=job.enabled,
            running_since=float(begun[name]) if name in begun else None,
            next_run=next_due(job, now, host=host, job=name).timestamp() if alive and job.enabled else None,
            last_run=last.get(name),
        )
        for name, job in jobs.items()
    ]


def _file(given: Path | None, state: State | None) -> tuple[Path, bool]:
    """The file that somebody named, else the one that the running agent has, else the default one."""
    file, named = configuration_file(given)
    if not named and state is not None and (daemon := running.load(state)) is not None:
        return Path(daemon.configuration), False
    return file, named


def _print_jobs(jobs: Sequence[Job], *, as_json: bool) -> None:
    if as_json:
        print(json_text({"jobs": jobs}))
        return
    if not jobs:
        print("no jobs are configured")
        return
    rows, colours = [], []
    for job in jobs:
        last = job.last_run
        if job.running_since is not None:
            outcome, state = f"running since {_moment(job.running_since)}", ""
        elif last is None:
            outcome, state = "never ran", ""
        else:
            outcome, state = _outcome(last), "ok" if last.outcome == "done" else "critical"
        rows.append(
            (
                job.name,
                job.schedule if job.enabled else "turned off",
                _moment(last.started) if last else "-",
                _took(last) if last else "-",
                _moment(job.next_run) if job.next_run is not None else "-",
                outcome,
            )
        )
        colours.append(("", "", "", "", "", state))
    print(table(("job", "schedule", "last run", "took", "next run", "outcome"), rows, colours=colours))


def _print_runs(runs: Sequence[JobResult], *, as_json: bool) -> None:
    if as_json:
        print(json_text({"runs": runs}))
        return
    if not runs:
        print("it never ran")
        return
    rows = [
        (
            _moment(run.started),
            _took(run),
            format_duration(run.cpu),
            format_size(run.peak_memory) if run.peak_memory else "-",
            _outcome(run),
        )
        for run in runs
    ]
    colours = [("", "", "", "", "ok" if run.outcome == "done" else "critical") for run in runs]
    print(table(("started", "took", "cpu", "memory", "outcome"), rows, colours=colours))


def _outcome(run: JobResult) -> str:
    said = run.outcome.replace("_", " ")
    return f"{said}: {run.message}" if run.message else said


def _took(run: JobResult) -> str:
    return format_duration(run.finished - run.started)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


JOBS = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward jobs               each job: schedule, last run, outcome, next run
  hostward jobs dump          the runs of one job that are kept, the newest first
  hostward jobs --json | jq '.jobs[] | select(.last_run.outcome != "done")'""",
    notes="""\
exit codes: 0 done, 1 failed, 2 bad usage or mistakes in the configuration.""",
)
