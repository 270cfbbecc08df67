"""`hostward backup run`: a new snapshot."""

from __future__ import annotations

import argparse
import glob
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from agent.backups.sources.contract import Contents
from agent.cli.backup.access import opened
from agent.cli.backup.options import parsed, positive
from agent.cli.backup.output import print_error
from agent.cli.backup.patterns import read_named
from agent.cli.backup.progress import print_line
from agent.cli.backup.saving import Ahead, plan_of, require_all, save, tell
from agent.cli.backup.scope import add_scope
from backup.errors import PartialError
from backup.select.snapshots import Grouping
from kit.commands import Command
from kit.errors import HostwardError, UsageError
from kit.terminal import clean

if TYPE_CHECKING:  # it takes a tenth of a second to load
    from backup.archive.streams import Readable


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
    # How the agent runs a job: it keeps the record itself, which is the one line on standard output.
    parser.add_argument("--for-agent", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--no-scan", action="store_true", help="count nothing ahead to know how much is left")


def run(options: argparse.Namespace) -> int:
    """Save what jobs or paths name, and say what was done. Raises PartialError where not all was saved as it is."""
    is_stream = options.stdin or options.stdin_from_command
    if is_stream or all("/" in path for path in options.paths):
        return _run(options)
    # The configuration takes long to load, and a path names no job.
    from agent.cli.backup.jobs import jobs_among

    jobs = jobs_among(options, options.paths)
    if not jobs:
        return _run(options)
    from agent.cli.backup.job_run import run_job

    if options.files_from or options.files_from_verbatim or options.files_from_raw:
        raise UsageError("a job says what it saves: expected no --files-from")
    codes = []
    for name, job in jobs.items():
        if len(jobs) > 1 and not (options.quiet or options.json):
            print_line(f"job {name}:")
        try:
            run_job(options, name, job)
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
    contents = _contents(options, targets)
    plan = plan_of(options, contents)
    ahead = Ahead(plan)
    with opened(options, "write", meanwhile=ahead.begin) as repository:
        outcome, elapsed = save(repository, plan, contents, options, early=ahead.look)
    tell(outcome, elapsed, options)
    require_all(outcome, options)
    return 0


def _contents(options: argparse.Namespace, targets: list[bytes]) -> Contents:
    """The paths, or the stream, which is opened when its turn comes."""
    if not (options.stdin or options.stdin_from_command):
        return Contents(paths=tuple(targets))
    # What makes snapshots takes a tenth of a second to load, which others do while they wait.
    from backup.archive.streams import Stream, clean_path

    read = _read_stdin if options.stdin else partial(_read_program, options.paths)
    return Contents(streams=(Stream(clean_path(options.stdin_filename), read, mode=0o644),))


def _read_stdin() -> AbstractContextManager[Readable]:
    return nullcontext(cast("Readable", sys.stdin.buffer))  # it has `readinto`, which its type does not say


def _read_program(words: list[str]) -> AbstractContextManager[Readable]:
    from agent.backups.programs import Output  # no other run needs what it loads

    program, *arguments = words
    program = str(Path(program).absolute()) if "/" in program else program
    return Output([program, *arguments], environment=os.environ, folder=str(Path.cwd()), then="no snapshot was made")


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
