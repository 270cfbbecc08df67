"""`hostward backup drill`: a restore that is tried, into a place that is thrown away."""

from __future__ import annotations

import argparse
import copy
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path

import msgspec

from agent import clock
from agent.backups.drill.history import held_since, lost
from agent.backups.drill.run import Course, Order, run_drill
from agent.backups.drill.sample import new_seed, parse_seed
from agent.backups.drill.verdict import missed_targets, record
from agent.backups.job import limits
from agent.backups.job.turn import turn
from agent.backups.plan import next_run
from agent.backups.records import Begun, Book, Recording
from agent.cli.backup.access import opened
from agent.cli.backup.drill_list import show
from agent.cli.backup.jobs import options_of_copy, use_access
from agent.cli.backup.options import parsed
from agent.cli.backup.output import local_time, plural, print_json, warn
from agent.cli.backup.progress import Phase, progress
from agent.config.backup_drills import Drills, load_drills
from agent.config.backups import BackupOptions
from agent.config.drills import DrillOptions, place_of
from agent.paths import configuration_file, state_folder
from backup.errors import PartialError
from backup.repository.repository import Repository
from kit.commands import Command
from kit.errors import HostwardError, UsageError
from kit.options.words import literal
from kit.terminal import clean
from kit.units import format_duration, format_size
from wire.report import BackupRun, Drill


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its argument and options."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="a drill of the configuration; without one, all are shown"
    )
    parser.add_argument(
        "--seed", type=parsed(parse_seed), metavar="SEED", help="draw the sample that this seed drew; a new one"
    )
    parser.add_argument("--for-agent", action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Do the drill, put it on record, and tell; or show all."""
    file, named = configuration_file(options.config)
    tables = load_drills(file, must_exist=named)
    state = state_folder(options.state_dir).absolute()
    if options.name is None:
        show(tables.drills, state, as_json=options.json)
        return 0
    name: str = options.name
    drill, job = _find(tables, name)
    place = place_of(drill, job)
    assert place is not None  # `load_drills` refuses another
    if options.for_agent:
        options.quiet, options.json = True, False
    started, began = time.time(), clock.ticks()
    recording = None if options.for_agent else _begin(state, name, drill, place.repository, started)
    seed = options.seed or new_seed()
    phase = Phase()

    @contextmanager
    def repository() -> Iterator[Repository]:
        given = copy.copy(options)
        use_access(options, drill.backup, job)
        with opened(options if place is job else options_of_copy(given, options, place), "read") as found:
            yield found

    order = Order(drill, job.source, job.host or socket.gethostname(), seed, started)
    with ExitStack() as turns, progress(options, phase.status):

        def prepare() -> None:
            if not options.for_agent:
                _take_turn(turns, state, place.repository)
            limits.take(drill)

        course, end = run_drill(order, prepare, repository, phase.update)
    found = record(
        name,
        drill,
        repository=place.repository,
        started=started,
        finished=started + clock.ticks() - began,
        snapshot=course.snapshot,
        held=_held(state, drill.backup, course),
        restored=course.restored,
        wrong=course.wrong,
        problem=course.problem,
        seed=seed if drill.kind == "sample" else "",
        due=next_run("drill", name, drill, time.time(), host=os.uname().nodename),
    )
    if recording is not None:
        _keep(recording, found)
    if options.for_agent:
        sys.stdout.buffer.write(msgspec.json.encode(found))
        sys.stdout.buffer.flush()
    elif options.json:
        print_json(_object(found, course, seed))
    elif not options.quiet:
        _print(found, course, seed)
    if end is not None:
        raise end
    return _judge(found, options)


def _find(tables: Drills, name: str) -> tuple[DrillOptions, BackupOptions]:
    """Raises UsageError for one that there is not."""
    if name not in tables.drills:
        near = get_close_matches(name, tables.drills, n=1)
        known = f"; there are the drills {', '.join(tables.drills)}" if tables.drills else "; no drill is configured"
        hint = f"; did you mean {literal(near[0])}?" if near else known
        raise UsageError(f'there is no drill "{clean(name)}"{hint}')
    drill = tables.drills[name]
    return drill, tables.backups[drill.backup]


def _begin(state: Path, name: str, drill: DrillOptions, repository: str, started: float) -> Recording[Drill] | None:
    """Put on record that it begins, and what became of one that was killed. None where the state cannot be used."""
    book = Book(state, "drills", Drill)
    begun = Begun(name=name, started=started, by="hand", repository=repository, source=drill.kind)
    try:
        book.settle(name, lambda lost_one, _: lost(lost_one, drill, now=time.time()))
        return book.begin(begun)
    except OSError as error:
        warn(f"it will not be on record: {error.filename or state}: {error.strerror}")
        return None


def _keep(recording: Recording[Drill], found: Drill) -> None:
    try:
        recording.end(lambda _: found)
    except OSError as error:
        warn(f"it is not on record: {error.filename or ''}: {error.strerror}")


def _take_turn(held: ExitStack, state: Path, repository: str) -> None:
    """Wait until no other run of this host uses the repository. Where the state cannot be used nobody waits."""
    try:
        held.enter_context(turn(state, [repository], lambda: warn("waits for another run on the repository")))
    except OSError as error:
        warn(f"it waits for no other run: {error.filename or state}: {error.strerror}")


def _held(state: Path, job: str, course: Course) -> float | None:
    if course.snapshot is None:
        return None
    with suppress(OSError):
        runs = Book(state, "backups", BackupRun).runs(job)
        snapshot = course.snapshot
        # Of a copy the job's runs know what it is a copy of.
        return held_since({snapshot.id, snapshot.original or snapshot.id}, [numbered.record.run for numbered in runs])
    return None


def _object(found: Drill, course: Course, seed: str) -> dict[str, object]:
    """As JSON: the record, with what only who stands beside it is told."""
    shown = {"message_type": "summary", **msgspec.to_builtins(found), "missed_targets": missed_targets(found)}
    restored = course.restored
    if restored is not None:
        shown["total_files"] = restored.total_files
        shown["live_files"] = restored.live_files
        shown["differences"] = restored.differences
    if found.kind == "sample":
        shown["seed"] = seed
    return shown


def _print(found: Drill, course: Course, seed: str) -> None:
    if course.snapshot is not None:
        print(f"snapshot {course.snapshot.short_id} at {local_time(course.snapshot.time)}")
    restored = course.restored
    if restored is not None:
        of = f" of {restored.total_files:,}, drawn by seed {seed}" if found.estimated else ""
        print(f"restored and compared {plural(restored.files, 'file')}{of}, {format_size(restored.bytes)}")
        if restored.live_files:
            print(f"compared {plural(restored.live_files, 'file')} that did not change with this host's own")
        for difference in restored.differences:
            print(f"differs: {clean(difference)}")
        if restored.differing > len(restored.differences):
            print(f"differs: {restored.differing - len(restored.differences):,} more")
    if found.assertion:
        print(f"the assertion {found.assertion}{': ' + clean(course.wrong) if course.wrong else ''}")
    if found.recovery_point is not None:
        print(f"recovery point: {format_duration(found.recovery_point)}{_target('rpo', found.rpo)}")
    if found.recovery_time is not None:
        size = "" if restored is None else f" for {format_size(restored.total_bytes)}"
        about = ", estimated from the sample" if found.estimated else ""
        print(f"recovery time: {format_duration(found.recovery_time)}{size}{about}{_target('rto', found.rto)}")


def _target(name: str, seconds: float | None) -> str:
    return "" if seconds is None else f" ({name} {format_duration(seconds)})"


def _judge(found: Drill, options: argparse.Namespace) -> int:
    if options.for_agent:
        return 0
    if found.outcome == "failed":
        raise HostwardError(f"the drill {found.name} failed: {found.message}")
    if missed := missed_targets(found):
        raise PartialError(f"all came back as it should, but {'; '.join(missed)}")
    return 0


DRILL = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup drill                           each drill: last, recovery point and time, next, outcome
  hostward backup drill shop                      the drill [drills.shop] of the configuration
  hostward backup drill shop --json | jq .recovery_time
  hostward backup drill shop --seed 1f2e3d4c5b6a7988    the same sample again""",
    notes="""\
It restores into a folder of its own below `scratch`, compares, asks the assertion, measures, and removes the folder.
Nothing else on the host is changed. What a killed drill left behind the next one removes.
exit codes: 0 all came back, and in time; 1 failed, or something differs; 2 bad usage; 3 all came back, but a target
(rpo, rto) was missed; 10 no repository; 11 locked; 12 wrong password.""",
)
