"""`hostward backup diff`: what changed from one snapshot to another."""

from __future__ import annotations

import argparse
import dataclasses
import os

from agent.cli.backup.access import opened
from agent.cli.backup.output import print_json, print_path, warn
from agent.cli.backup.picking import all_snapshots
from agent.cli.backup.shapes import text_of
from backup.errors import RepositoryError
from backup.maintain.diff import Change, DiffStats, diff
from backup.restore.locate import find_folder
from backup.select.snapshots import find_snapshot
from kit.commands import Command
from kit.terminal import table
from kit.units import format_size


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("before", metavar="SNAPSHOT", help="an id, or latest; either with :FOLDER")
    parser.add_argument("after", metavar="SNAPSHOT", help="the other one")
    parser.add_argument("--metadata", action="store_true", help="also what changed in metadata alone")


def run(options: argparse.Namespace) -> int:
    """Print each change, then the figures."""
    problems: list[RepositoryError] = []

    def problem(error: RepositoryError) -> None:
        problems.append(error)
        warn(str(error))

    def change(found: Change) -> None:
        if options.json:
            print_json({"message_type": "change", "path": text_of(found.path), "modifier": found.modifier})
        else:
            print_path(f"{found.modifier:<5}", found.path)

    with opened(options, "read") as repository:
        snapshots = all_snapshots(repository)
        trees = []
        for name in (options.before, options.after):
            snapshot, subfolder = find_snapshot(snapshots, name)
            trees.append(find_folder(repository, snapshot.root, os.fsencode(subfolder)))
        stats = diff(repository, *trees, metadata=options.metadata, on_change=change, on_problem=problem)
    if options.json:
        print_json(
            {
                "message_type": "statistics",
                "source_snapshot": options.before,
                "target_snapshot": options.after,
                **dataclasses.asdict(stats),
            }
        )
    elif not options.quiet:
        _print(stats)
    return RepositoryError.exit_code if problems else 0


def _print(stats: DiffStats) -> None:
    added, removed = stats.added, stats.removed
    rows = [
        ("files", str(added.files), str(removed.files), str(stats.changed_files)),
        ("folders", str(added.dirs), str(removed.dirs), ""),
        ("others", str(added.others), str(removed.others), ""),
        ("data blobs", str(added.data_blobs), str(removed.data_blobs), ""),
        ("tree blobs", str(added.tree_blobs), str(removed.tree_blobs), ""),
        ("size", format_size(added.bytes), format_size(removed.bytes), ""),
    ]
    print()
    print(table(("", "added", "removed", "changed"), rows))


DIFF = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup diff 5c4f17a2 latest
  hostward backup diff --metadata 5c4f17a2:/etc latest:/etc
  hostward backup diff --json 5c4f17a2 latest | jq -r 'select(.modifier == "+") | .path'""",
    notes="""\
Before each path stands + (added), - (removed), T (another type), M (other content), U (other metadata), or ? (other
content though nothing else says so: the disk may have changed it).
exit codes: 0 done; 1 failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password.""",
)
