"""`hostward backup run`: a new snapshot."""

from __future__ import annotations

import argparse
import glob
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from agent.backup.archive.plan import Plan
from agent.backup.archive.report import Became, OnEntry, Outcome, Problem, Progress
from agent.backup.archive.targets import absolute
from agent.backup.errors import PartialError
from agent.backup.repository.repository import Repository
from agent.backup.select.snapshots import Grouping, parse_tags
from agent.backup.stores.caches import use_cache
from agent.cli.backup.access import cache_folder, opened, pack_size
from agent.cli.backup.options import parsed, positive, setting
from agent.cli.backup.output import plural, print_error, print_json, print_path, warn
from agent.cli.backup.patterns import read_named
from agent.cli.backup.progress import make_way, progress
from agent.cli.backup.scope import add_scope, scope_of
from agent.cli.backup.shapes import Object, text_of
from agent.cli.backup.stream import CommandStream
from agent.cli.backup.times import parse_time
from kit.commands import Command
from kit.errors import HostwardError, UsageError
from kit.progress import Status, clock
from kit.terminal import clean
from kit.units import format_size


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument(
        "paths", nargs="*", metavar="JOB|PATH", help="backup jobs of the configuration, or files and folders"
    )
    parser.add_argument("-n", "--dry-run", action="store_true", help="read and count, but write nothing")
    parser.add_argument("--tag", action="append", default=[], metavar="TAG[,TAG…]", help="mark the snapshot")
    parser.add_argument("-H", "--host", metavar="HOST", help="instead of this host's name")
    parser.add_argument("--time", metavar="TIME", help='instead of now: "2026-11-22 14:30:05"')
    add_scope(parser)
    more = parser.add_argument_group("more to save")
    for name, what in (("", "patterns of paths, one a line"), ("-verbatim", "paths, one a line"), ("-raw", "paths")):
        ends = ", each ended by a NUL" if name == "-raw" else ""
        more.add_argument(
            f"--files-from{name}", action="append", default=[], metavar="FILE", help=f"{what}{ends}; - is stdin"
        )
    more.add_argument("--stdin", action="store_true", help="save what comes from standard input as one file")
    more.add_argument("--stdin-filename", default="stdin", metavar="NAME", help="the name of that file; stdin")
    more.add_argument(
        "--stdin-from-command", action="store_true", help="the words after -- are a program whose output is saved"
    )
    compared = parser.add_argument_group("what counts as unchanged")
    compared.add_argument("--parent", metavar="SNAPSHOT", help="compare with it, not with the latest of these paths")
    compared.add_argument(
        "-g",
        "--group-by",
        type=parsed(Grouping.parse),
        default="host,paths",
        metavar="GROUP",
        help="the latest of the same host, paths, tags; host,paths",
    )
    compared.add_argument("-f", "--force", action="store_true", help="compare with nothing: read every file")
    compared.add_argument("--ignore-ctime", action="store_true", help="a file's ctime says nothing")
    compared.add_argument("--ignore-inode", action="store_true", help="its inode and ctime say nothing")
    compared.add_argument("--skip-if-unchanged", action="store_true", help="make no snapshot like the one before")
    parser.add_argument("--with-atime", action="store_true", help="keep the times of access")
    parser.add_argument("--read-concurrency", type=positive, metavar="N", help="processes that read files")
    parser.set_defaults(watched=None)
    parser.add_argument("--no-scan", action="store_true", help="count nothing ahead to know how much is left")


def run(options: argparse.Namespace) -> int:
    """Save what jobs or paths name, and say what was done. Raises PartialError where not all was saved as it is."""
    is_stream = options.stdin or options.stdin_from_command
    if is_stream or all("/" in path for path in options.paths):
        return _run(options)
    # The configuration takes long to load, and a path names no job.
    from agent.cli.backup.jobs import jobs_among, options_of_job

    jobs = jobs_among(options, options.paths)
    if not jobs:
        return _run(options)
    if options.files_from or options.files_from_verbatim or options.files_from_raw:
        raise UsageError("a job says what it saves: expected no --files-from")
    codes = []
    for name, job in jobs.items():
        try:
            _run(options_of_job(options, name, job))
        except (HostwardError, OSError) as error:
            if len(jobs) == 1:
                raise
            codes.append(error.exit_code if isinstance(error, HostwardError) else HostwardError.exit_code)
            print_error(f"{name}: {error}", options, item=name, during="job")
    # That a job has no snapshot outweighs that another's lacks some paths.
    worst = [code for code in codes if code != PartialError.exit_code] or codes
    return worst[0] if worst else 0


def _run(options: argparse.Namespace) -> int:
    is_stream = options.stdin or options.stdin_from_command
    targets = [] if is_stream else targets_of(options)
    if options.stdin and options.stdin_from_command:
        raise UsageError("--stdin and --stdin-from-command exclude each other")
    if is_stream and (options.files_from or options.files_from_verbatim or options.files_from_raw):
        raise UsageError("--stdin saves a stream alone: expected no --files-from")
    if options.stdin and options.paths:
        raise UsageError("--stdin saves a stream alone: expected no paths")
    if options.stdin_from_command and not options.paths:
        raise UsageError("--stdin-from-command names no program: expected one after --")
    if not is_stream and not targets:
        job = f"; the job is run by `hostward backup run {clean(options.job)}`" if options.job else ""
        raise UsageError(f"there is nothing to save: name files or folders{job}")
    plan = plan_of(options, targets)
    with opened(options, "write", meanwhile=_load) as repository:
        outcome, elapsed = _save(repository, plan, options)
    _tell(outcome, elapsed, options)
    if outcome.problem_count:
        made = "a dry run" if options.dry_run else "the snapshot was made"
        are = "it is" if outcome.problem_count == 1 else "they are"
        raise PartialError(f"{plural(outcome.problem_count, 'path')} could not be saved as {are}; {made}")
    return 0


def _load() -> None:
    """Load what makes snapshots, which takes a tenth of a second."""
    from agent.backup.archive import backup as backup


def targets_of(options: argparse.Namespace) -> list[bytes]:
    """The paths of the command line and of files. Raises UsageError."""
    targets = [os.fsencode(path) for path in options.paths]
    for file in options.files_from:
        for line in read_named(file).splitlines():
            pattern = line.strip()
            if pattern and not pattern.startswith(b"#"):
                # Path.glob knows neither bytes nor patterns that begin at the root.
                targets += sorted(glob.glob(pattern, include_hidden=True)) or [pattern]  # noqa: PTH207
    for file in options.files_from_verbatim:
        targets += [line for line in read_named(file).split(b"\n") if line]
    for file in options.files_from_raw:
        content = read_named(file)
        if content and not content.endswith(b"\0"):
            raise UsageError(f"{clean(file)}: expected a NUL after each path, also after the last")
        targets += content.split(b"\0")[:-1]
    if any(not target or b"\0" in target for target in targets):
        raise UsageError("an empty path, or one with a NUL, names nothing that could be saved")
    return targets


def plan_of(options: argparse.Namespace, targets: list[bytes]) -> Plan:
    """What the options ask for. Raises UsageError."""
    return Plan(
        targets=tuple(targets),
        scope=scope_of(options),
        excludes=tuple(options.exclude),
        tags=tuple(tag for text in options.tag for tag in parse_tags(text) if tag),
        hostname=setting(options, "host") or "",
        moment=parse_time(options.time) if options.time else None,
        parent=options.parent or "",
        group_by=options.group_by,
        force=options.force,
        ignore_ctime=options.ignore_ctime,
        ignore_inode=options.ignore_inode,
        with_atime=options.with_atime,
        skip_if_unchanged=options.skip_if_unchanged,
        dry_run=options.dry_run,
        pack_size=pack_size(options),
        workers=options.read_concurrency or 0,
    )


def _save(repository: Repository, plan: Plan, options: argparse.Namespace) -> tuple[Outcome, float]:
    from agent.backup.archive.backup import run_backup

    seen: list[Progress] = [Progress()]

    def note(now: Progress) -> None:
        seen[0] = now

    def problem(found: Problem) -> None:
        print_error(f"{found.path}: {found.reason}", options, item=found.path, during="archival")

    with progress(options, lambda: _status(seen[0]), lambda elapsed: _status_object(seen[0], elapsed)) as display:
        if options.stdin or options.stdin_from_command:
            outcome = _save_stream(repository, plan, options, note)
        else:
            cache = _cache(repository, plan, options)
            watching = None
            if options.watched is not None and cache is not None:
                from agent.cli.backup.watching import Watching

                watching = Watching.begin(repository, plan, options.watched, cache, options.environment)
            if watching and options.quiet and not options.json and not watching.advice.is_answered:
                warn(watching.said)
            elif watching and not (options.json or options.quiet):
                make_way()
                print(watching.said)
            outcome = run_backup(
                repository,
                watching.plan if watching else plan,
                on_progress=note,
                on_problem=problem,
                cache=cache,
                changed_folders=watching.advice.changed if watching else None,
                scan_ahead=display.shown and not options.no_scan,
                on_entry=_list_entry(options) if options.verbose > 1 and not options.quiet else None,
            )
            if watching:
                watching.end(outcome)
        return outcome, display.elapsed


def _list_entry(options: argparse.Namespace) -> OnEntry:
    def tell(became: Became, path: bytes, size: int) -> None:
        if options.json:
            print_json({"message_type": "verbose_status", "action": became, "item": text_of(path)})
        else:
            saved = became is not Became.UNCHANGED and not path.endswith(b"/")
            print_path(f"{became:<9} ", path, f", {format_size(size)}" if saved else "")

    return tell


def _save_stream(
    repository: Repository, plan: Plan, options: argparse.Namespace, note: Callable[[Progress], None]
) -> Outcome:
    from agent.backup.archive.backup import run_stream

    if options.stdin:
        return run_stream(repository, plan, sys.stdin.buffer, options.stdin_filename, on_progress=note)
    with CommandStream(options.paths) as stream:
        # It only has `readinto`, which is all that is asked for.
        return run_stream(repository, plan, cast(BinaryIO, stream), options.stdin_filename, on_progress=note)


def _cache(repository: Repository, plan: Plan, options: argparse.Namespace) -> Path | None:
    """The file in which the next run finds what folders were; None where none may be kept."""
    folder = cache_folder(options)
    if folder is None:
        return None
    try:
        folder = use_cache(folder, repository.config.id)
    except OSError:  # a cache is no reason to save nothing
        return None
    names = b"\0".join([os.fsencode(plan.hostname), *map(absolute, plan.targets)])
    return folder / f"folders-{hashlib.sha256(names).hexdigest()[:16]}"


def _status(now: Progress) -> Status:
    errors = f", {plural(now.problems, 'error')}" if now.problems else ""
    return Status(now.size, now.total_size, f"{now.files:,} files{errors}", text_of(now.current))


def _status_object(now: Progress, elapsed: float) -> Object:
    total, done = now.total_size or 0, now.size
    shown: Object = {"message_type": "status"}
    if elapsed >= 1:
        shown["seconds_elapsed"] = int(elapsed)
    if done and total > done:
        shown["seconds_remaining"] = int(elapsed * (total - done) / done)
    shown["percent_done"] = min(done / total, 1.0) if total else 0.0
    for name, value in (
        ("total_files", now.total_files),
        ("files_done", now.files),
        ("total_bytes", total),
        ("bytes_done", done),
        ("error_count", now.problems),
    ):
        if value:
            shown[name] = value
    if now.current:
        shown["current_files"] = [text_of(now.current)]
    return shown


def _tell(outcome: Outcome, elapsed: float, options: argparse.Namespace) -> None:
    summary, snapshot = outcome.summary, outcome.snapshot
    figures: Object = msgspec.to_builtins(summary)
    if options.json:
        times = {name: figures.pop(name) for name in ("backup_start", "backup_end")}
        shown = {"message_type": "summary", **figures, "total_duration": round(elapsed, 9), **times}
        if snapshot.id:
            shown["snapshot_id"] = snapshot.id
        if options.dry_run:
            shown["dry_run"] = True
        print_json(shown)
        return
    if options.quiet:
        return
    if snapshot.parent:
        print(f"compared with snapshot {snapshot.parent[:8]}")
    for what, name in (("files", "files"), ("folders", "dirs")):
        new, changed, same = (figures[f"{name}_{kind}"] for kind in ("new", "changed", "unmodified"))
        print(f"{what + ':':<9} {new:,} new, {changed:,} changed, {same:,} unchanged")
    would = "would add" if options.dry_run else "added"
    print(f"{would} {format_size(summary.data_added)}, stored as {format_size(summary.data_added_packed)}")
    count, size = plural(summary.total_files_processed, "file"), format_size(summary.total_bytes_processed)
    print(f"saw {count}, {size}, in {clock(elapsed)}")
    if snapshot.id:
        print(f"snapshot {snapshot.short_id} saved")
    elif not options.dry_run:
        print("nothing has changed: no snapshot was made")


RUN = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup run /etc /home --exclude-caches --exclude "*.tmp"
  hostward backup run / --one-file-system --exclude-file /etc/hostward/exclude
  hostward backup run etc                   the job [backups.etc] of the configuration
  hostward backup run --stdin-from-command --stdin-filename db.sql -- pg_dump shop
  hostward backup run /srv --dry-run -vv    what would be saved, file by file""",
    notes="""\
A word without "/" is a job, if the configuration has one of that name; ./etc is a path.
Files that have not changed since the snapshot before (size, inode, mtime, ctime) are not read. What vanishes or
cannot be read is named; the snapshot is made all the same, and the exit code is 3.
exit codes: 0 done; 1 failed, no snapshot; 2 bad usage; 3 some paths could not be saved as they are; 10 no repository;
11 locked; 12 wrong password.""",
)
