"""`hostward backup copy`: snapshots into another repository."""

from __future__ import annotations

import argparse

from agent.cli.backup.access import opened
from agent.cli.backup.options import add_access
from agent.cli.backup.output import plural, print_json
from agent.cli.backup.picking import add_filters, pick_all
from agent.cli.backup.progress import Phase, print_line, progress
from backup.errors import RepositoryError
from backup.maintain.copy import Copied, CopyOptions, copy
from kit.commands import Command


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("snapshots", nargs="*", metavar="SNAPSHOT", help="these alone; else all that fit")
    add_access(parser.add_argument_group("the repository that is copied from"), "from-")
    add_filters(parser)


def run(options: argparse.Namespace) -> int:
    """Copy what the other repository does not have yet."""
    phase = Phase()

    def tell(copied: Copied) -> None:
        if options.json or options.quiet:
            return
        done = "is there already as" if copied.skipped else "copied as"
        print_line(f"snapshot {copied.source.short_id} {done} {copied.target.short_id}")

    left_out: list[str] = []
    with opened(options, "read", source="from_") as source, opened(options, "write") as target:
        snapshots = pick_all(source, options, options.snapshots, left_out)
        with progress(options, phase.status):
            done = copy(source, target, snapshots, CopyOptions(phase.update, tell))
    if options.json:
        print_json([{"source": each.source.id, "target": each.target.id, "skipped": each.skipped} for each in done])
    elif not options.quiet:
        print(f"copied {plural(sum(not each.skipped for each in done), 'snapshot')} of {len(done)}")
    return RepositoryError.exit_code if left_out else 0


COPY = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup copy --from-repo /srv/old --from-password-file /etc/hostward/old.password
  hostward backup copy latest --host web1 --from-repo sftp:backup@nas:/old""",
    notes="""\
The source is named as the repository is, with --from- and HOSTWARD_FROM_ (or RESTIC_FROM_) before the words. Copied
files are not cut anew: what both repositories hold already may take its space twice.
exit codes: 0 done; 1 failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password.""",
)
