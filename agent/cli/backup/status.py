"""`hostward backup status`: the jobs of the configuration, and what is on record of their runs."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

import msgspec

from agent.backups.plan import next_run
from agent.backups.records import Book, Record
from agent.cli.backup.jobs import all_jobs
from agent.cli.backup.options import configure_without_repository
from agent.cli.backup.output import ago, local_time, plural
from agent.config.backups import BackupOptions
from agent.daemon.lock import is_held
from agent.paths import state_folder
from agent.timetable import in_words
from kit.commands import Command
from kit.errors import HostwardError, UsageError
from kit.jsontext import json_text
from kit.terminal import clean, table
from kit.units import format_duration, format_roughly, format_size
from wire.report import BackupRun

_SHOWN = 20
"""Runs of a job that a person is shown: the newest would scroll away otherwise."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job, as `--json` prints it; docs/backup.md describes it. Times are seconds since the epoch."""

    name: str
    description: str
    source: str
    repository: str
    schedule: str
    """'' for one that runs by hand alone."""
    enabled: bool
    """Whether its timetable is turned on."""
    next_run: float | None
    """None while no agent runs, or without a timetable that is turned on."""
    running_since: float | None
    last_run: BackupRun | None
    last_success: float | None
    last_verified: float | None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its argument."""
    parser.add_argument("name", nargs="?", metavar="JOB", help="show this job's runs")


def run(options: argparse.Namespace) -> int:
    """Print the jobs, or the runs of one."""
    folder = state_folder(options.state_dir).absolute()
    jobs = all_jobs(options)
    book = Book(folder, "backups", BackupRun)
    try:
        alive = is_held(folder)
        found = gather(jobs, book, alive=alive, now=time.time())
        if options.name is None:
            _print_jobs(found, alive=alive, as_json=options.json)
            return 0
        runs = [one.record for one in reversed(book.runs(options.name))] if "/" not in options.name else []
    except OSError as error:
        raise HostwardError(
            f"{folder} cannot be read: {error.strerror}; run as the agent's user or as root"
        ) from error
    if options.name not in jobs and not runs:
        known = f"; there are {', '.join(jobs)}" if jobs else ""
        raise UsageError(f'there is no backup job "{clean(options.name)}"{known}')
    _print_runs(next((job for job in found if job.name == options.name), None), runs, as_json=options.json)
    return 0


def gather(jobs: dict[str, BackupOptions], book: Book[BackupRun], *, alive: bool, now: float) -> list[Job]:
    """The jobs in the order of the configuration. Raises OSError."""
    return [_job(name, job, book, alive=alive, now=now) for name, job in jobs.items()]


def _job(name: str, job: BackupOptions, book: Book[BackupRun], *, alive: bool, now: float) -> Job:
    runs = book.runs(name, last=1)
    last = runs[-1].record.run if runs else None
    going_on = book.going_on(name)
    host = os.uname().nodename
    due = next_run("backup", name, job, now, host=host) if alive and job.enabled else None
    return Job(
        name=name,
        description=job.description,
        source=job.source,
        repository=job.repository,
        schedule=in_words(job),
        enabled=job.enabled,
        next_run=due,
        running_since=going_on[0].started if going_on else None,
        last_run=last,
        last_success=last.last_success if last else None,
        last_verified=last.last_verified if last else None,
    )


def _print_jobs(jobs: Sequence[Job], *, alive: bool, as_json: bool) -> None:
    if as_json:
        print(json_text({"jobs": jobs}))
        return
    if not jobs:
        print("no backup jobs are configured")
        return
    now = time.time()
    head = ("job", "last run", "success", "verified", "size", "next run", "outcome")
    rows = [_row(job, now) for job in jobs]
    colours = [("", "", "", "", "", "", _state(job.last_run) if job.running_since is None else "") for job in jobs]
    print(table(head, rows, colours=colours))
    for job in jobs:
        if job.last_run is not None and job.last_run.message:
            print(f"{clean(job.name)}: {job.last_run.outcome}: {clean(job.last_run.message)}")
    if not alive and any(job.schedule for job in jobs):
        print("No agent runs here, so none is started by its timetable.")


def _row(job: Job, now: float) -> tuple[str, ...]:
    last = job.last_run
    outcome = "never ran" if last is None else last.outcome
    return (
        job.name,
        ago(last.started if last else None, now),
        ago(job.last_success, now),
        ago(job.last_verified, now),
        format_size(last.bytes) if last and last.snapshot else "-",
        _next(job, now),
        outcome if job.running_since is None else f"running for {format_roughly(now - job.running_since)}",
    )


def _next(job: Job, now: float) -> str:
    if not job.schedule:
        return "by hand"
    if not job.enabled:
        return "turned off"
    return "-" if job.next_run is None else f"in {format_roughly(job.next_run - now)}"


def _print_runs(job: Job | None, records: Sequence[Record[BackupRun]], *, as_json: bool) -> None:
    if as_json:
        print(json_text({"runs": [record.run for record in records]}))
        return
    if job is not None:
        due = f"; next run {local_time(job.next_run)}" if job.next_run is not None else ""
        print(f"{job.schedule or 'by hand'}, into {clean(job.repository)}{due}")
    if not records:
        print("it never ran")
        return
    shown = [record.run for record in records[:_SHOWN]]
    rows = [
        (
            local_time(run.started),
            record.by if record.by == "hand" else "agent",
            format_duration(run.finished - run.started),
            run.snapshot[:8] or "-",
            f"{run.files:,}",
            format_size(run.bytes),
            format_size(run.bytes_added),
            "verified" if run.outcome == "done" and run.verified else run.outcome,
        )
        for run, record in zip(shown, records, strict=False)
    ]
    colours = [("", "", "", "", "", "", "", _state(run)) for run in shown]
    head = ("started", "by", "took", "snapshot", "files", "size", "added", "outcome")
    heading, *lines = table(head, rows, colours=colours).splitlines()
    print(heading)
    for run, line in zip(shown, lines, strict=True):
        print(line)
        if run.message:
            print(f"    {clean(run.message)}")
    if len(records) > _SHOWN:
        print(f"{plural(len(records) - _SHOWN, 'older run')} on record: --json prints all")


def _state(run: BackupRun | None) -> str:
    return "" if run is None else {"done": "ok", "partial": "warning", "failed": "critical"}[run.outcome]


STATUS = Command(
    run=run,
    configure=configure,
    shared=configure_without_repository,
    examples="""\
  hostward backup status            each job: last run, last success, last verified, next run
  hostward backup status shop       the runs of one job that are on record, the newest first
  hostward backup status --json | jq '.jobs[] | select(.last_run.outcome != "done")'""",
    notes="""\
It opens no repository. Runs by hand are on record too.
exit codes: 0 done, 1 failed, 2 bad usage or mistakes in the configuration.""",
)
