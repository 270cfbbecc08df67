"""`hostward backup rewrite`: snapshots without some files, or with another host or time."""

from __future__ import annotations

import argparse

from agent.cli.backup.access import opened
from agent.cli.backup.options import parsed
from agent.cli.backup.output import print_path
from agent.cli.backup.patterns import add_patterns, patterns_of
from agent.cli.backup.picking import add_filters, pick_all
from agent.cli.backup.replacing import Teller
from agent.cli.backup.times import parse_time
from backup.errors import RepositoryError
from backup.maintain.rewrite import RewriteOptions, rewrite
from kit.commands import Command


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("snapshots", nargs="*", metavar="SNAPSHOT", help="these alone; else all that fit")
    add_filters(parser)
    add_patterns(parser, "exclude")
    parser.add_argument("--new-host", default="", metavar="HOST", help="say that it was made on this host")
    parser.add_argument("--new-time", type=parsed(parse_time), metavar="TIME", help="say that it was made then")
    parser.add_argument("--forget", action="store_true", help="remove the old snapshots")
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be done")


def run(options: argparse.Namespace) -> int:
    """Rewrite those in which something changes."""
    patterns = patterns_of(options, "exclude")
    teller = Teller(options)
    wanted = RewriteOptions(
        excludes=patterns.excludes() if patterns else None,
        new_host=options.new_host,
        new_time=options.new_time,
        forget=options.forget,
        dry_run=options.dry_run,
        on_excluded=lambda path: print_path("leaves out ", path) if options.verbose and not options.json else None,
        on_snapshot=teller.tell,
    )
    left_out: list[str] = []
    with opened(options, "exclusive" if options.forget else "write") as repository:
        done = rewrite(repository, pick_all(repository, options, options.snapshots, left_out), wanted)
    teller.end(done)
    return RepositoryError.exit_code if left_out else 0


REWRITE = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup rewrite --exclude "*.iso" --dry-run --verbose
  hostward backup rewrite latest --exclude /srv/shop/secret --forget
  hostward backup rewrite --host old-name --new-host new-name --forget""",
    notes="""\
Without --forget the old snapshots stay and the new ones have the tag `rewrite`. What is left out stays in the
repository until no snapshot has it and `prune` was run.
exit codes: 0 done; 1 failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password.""",
)
