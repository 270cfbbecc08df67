"""`hostward backup check`: whether all is there, and as it was written."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from agent.cli.backup.access import Locking, loading, opened
from agent.cli.backup.options import parsed
from agent.cli.backup.output import plural, print_error, print_json, print_path, warn
from agent.cli.backup.progress import Phase, progress
from backup.errors import RepositoryError
from backup.select.sizes import parse_subset
from kit.commands import Command
from kit.errors import UsageError
from kit.terminal import paint
from kit.units import format_size

if TYPE_CHECKING:
    from backup.maintain.check import CheckReport, Hint, Problem

_PATHS_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("--read-data", action="store_true", help="read every byte and verify it")
    parser.add_argument(
        "--read-data-subset",
        type=parsed(parse_subset),
        metavar="PART",
        help="read a part: 1/5 (the first fifth), 10%% or 2G (at random)",
    )
    parser.add_argument("--with-cache", action="store_true", help="use copies of indexes and trees of this host")


def run(options: argparse.Namespace) -> int:
    """Check, and tell each problem as it is found."""
    if options.read_data and options.read_data_subset is not None:
        raise UsageError("--read-data and --read-data-subset exclude each other")
    if not options.with_cache:
        options.no_cache = True

    def problem(found: Problem) -> None:
        print_error(found.message, options)

    def hint(found: Hint) -> None:
        if options.verbose and not options.json:
            warn(f"{found.message}; `{found.remedy}` ends that")

    phase = Phase()
    locking: Locking = "none" if options.no_lock else "exclusive"
    with (
        opened(options, locking, meanwhile=loading("backup.maintain.check")) as repository,
        progress(options, phase.status),
    ):
        from backup.maintain.check import CheckOptions, check

        report = check(
            repository,
            CheckOptions(
                read_data=options.read_data,
                subset=options.read_data_subset,
                on_problem=problem,
                on_hint=hint,
                on_progress=phase.update,
            ),
        )
    if options.json:
        print_json(
            {
                "message_type": "summary",
                "num_errors": len(report.problems),
                "broken_packs": report.damaged_packs or None,
                "suggest_repair_index": report.index_damaged or _suggests(report, "repair index"),
                "suggest_prune": _suggests(report, "prune"),
            }
        )
    else:
        _print(report, quiet=options.quiet)
    return 0 if report.sound else RepositoryError.exit_code


def _print(report: CheckReport, *, quiet: bool) -> None:
    for touched in report.touched:
        print(f"damaged in snapshot {touched.snapshot.short_id}: {plural(touched.count, 'path')}")
        for path in touched.paths[:_PATHS_SHOWN]:
            print_path("  ", path)
        if touched.count > _PATHS_SHOWN:
            print(f"  … and {touched.count - _PATHS_SHOWN} more")
    if not quiet:
        read = (
            f", read {plural(report.packs_read, 'pack')} ({format_size(report.bytes_read)})"
            if report.packs_read
            else ""
        )
        print(f"checked {plural(report.snapshots, 'snapshot')} with {plural(report.trees, 'folder')}{read}")
        for remedy in sorted({hint.remedy for hint in report.hints}):
            count = sum(hint.remedy == remedy for hint in report.hints)
            print(f"hints that cost no data: {count}; `{remedy}` ends them, --verbose lists them")
    if report.sound:
        if not quiet:
            print(paint("no problems were found", "ok"))
        return
    print(paint(f"{plural(len(report.problems), 'problem')} found", "critical"))
    if report.index_damaged:
        print("next: hostward backup repair index")
    if report.damaged_packs:
        print(f"next: hostward backup repair packs {' '.join(name[:8] for name in report.damaged_packs)}")
    if report.touched:
        print(
            "then, unless another `run` over the same files brings it back: hostward backup repair snapshots --forget"
        )


def _suggests(report: CheckReport, remedy: str) -> bool:
    return any(hint.remedy == remedy for hint in report.hints)


CHECK = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup check                            the structure: every snapshot, folder, index and size
  hostward backup check --read-data                every byte
  hostward backup check --read-data-subset 3/7     a seventh each day of the week: all of it in a week""",
    notes="""\
Nothing is changed. Each problem is one line on standard error; at the end stand the snapshots and paths that suffer.
exit codes: 0 no problem; 1 problems, or it could not be checked; 2 bad usage; 10 no repository; 11 locked;
12 wrong password.""",
)
