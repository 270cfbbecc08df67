"""`hostward backup prune`: room that no snapshot needs."""

from __future__ import annotations

import argparse

from agent.cli.backup.access import opened
from agent.cli.backup.progress import Phase, progress
from agent.cli.backup.pruning import add_rules, print_pruned, prune_options
from backup.maintain.prune import prune
from kit.commands import Command


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be done")
    add_rules(parser)


def run(options: argparse.Namespace) -> int:
    """Remove what no snapshot refers to."""
    phase = Phase()
    wanted = prune_options(options, phase.update)
    with opened(options, "exclusive") as repository, progress(options, phase.status):
        result = prune(repository, wanted)
    return print_pruned(result, options)


PRUNE = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup prune --dry-run            what it would free
  hostward backup prune                      until at most 5 % are unused
  hostward backup prune --max-repack-size 2G --max-unused 10%""",
    notes="""\
A prune that was interrupted at any point leaves the repository whole; the next one finishes the work.
exit codes: 0 done; 1 failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password.""",
)
