"""`hostward backup tag`: other tags for snapshots."""

from __future__ import annotations

import argparse

from agent.cli.backup.access import opened
from agent.cli.backup.output import plural, print_json
from agent.cli.backup.picking import add_filters, pick_all
from backup.errors import RepositoryError
from backup.format.snapshot import Snapshot
from backup.maintain.tag import TagChange, change_tags
from backup.select.snapshots import parse_tags
from kit.commands import Command
from kit.errors import UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("snapshots", nargs="*", metavar="SNAPSHOT", help="these alone; else all that fit")
    for name, what in (
        ("set", "these tags and no others; '' for none"),
        ("add", "these too"),
        ("remove", "not these"),
    ):
        parser.add_argument(f"--{name}", action="append", default=[], metavar="TAG[,TAG…]", help=what)
    add_filters(parser)


def run(options: argparse.Namespace) -> int:
    """Change those that have other tags."""
    if bool(options.set) == bool(options.add or options.remove):
        raise UsageError("expected either --set, or --add and --remove")
    changed = 0

    def tell(old: Snapshot, new: Snapshot) -> None:
        nonlocal changed
        changed += 1
        if options.json:
            print_json({"message_type": "changed", "old_snapshot_id": old.id, "new_snapshot_id": new.id})
        elif options.verbose:
            print(f"snapshot {old.short_id} is now {new.short_id}")

    left_out: list[str] = []
    with opened(options, "exclusive") as repository:
        change = TagChange(_tags(options.set) if options.set else None, _tags(options.add), _tags(options.remove))
        change_tags(repository, pick_all(repository, options, options.snapshots, left_out), change, tell)
    if options.json:
        print_json({"message_type": "summary", "changed_snapshots": changed})
    elif not options.quiet:
        print(f"changed {plural(changed, 'snapshot')}")
    return RepositoryError.exit_code if left_out else 0


def _tags(lists: list[str]) -> tuple[str, ...]:
    return tuple(tag for text in lists for tag in parse_tags(text) if tag)


TAG = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup tag latest --add before-upgrade
  hostward backup tag --tag nightly --host web1 --set nightly,web
  hostward backup tag 1f3a9c2b --remove before-upgrade""",
    notes="""\
A snapshot with other tags is a new one, of the same time and files; the old one is removed.
exit codes: 0 done; 1 failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password.""",
)
