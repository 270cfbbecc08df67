"""`hostward backup snapshots`: what there is to restore."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import zip_longest

from agent.cli.backup.access import opened
from agent.cli.backup.options import parsed, positive
from agent.cli.backup.output import local_time, plural, print_json
from agent.cli.backup.picking import add_filters, pick_all
from agent.cli.backup.shapes import Object, snapshot_object
from backup.format.snapshot import Snapshot
from backup.select.snapshots import Grouping, GroupKey, group_snapshots, newest_of_each
from kit.commands import Command
from kit.terminal import clean, table
from kit.units import format_size


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("snapshots", nargs="*", metavar="SNAPSHOT", help="these alone")
    add_filters(parser)
    parser.add_argument("-c", "--compact", action="store_true", help="without paths")
    parser.add_argument("-g", "--group-by", type=parsed(Grouping.parse), metavar="GROUP", help="host, paths, tags")
    parser.add_argument("--latest", type=positive, metavar="N", help="the last N of each host and paths")


def run(options: argparse.Namespace) -> int:
    """Print them, oldest first."""
    with opened(options, "read") as repository:
        snapshots = pick_all(repository, options, options.snapshots)
    groups = group_snapshots(snapshots, options.group_by or Grouping())
    shown = [(key, _newest(members, options.latest)) for key, members in groups]
    if options.json:
        if options.group_by is None:
            print_json([snapshot_object(each) for _, members in shown for each in members])
        else:
            print_json(
                [
                    {"group_key": _key_object(key), "snapshots": [snapshot_object(each) for each in members]}
                    for key, members in shown
                ]
            )
        return 0
    for number, (key, members) in enumerate(shown):
        if options.group_by:
            print(("\n" if number else "") + f"{clean(str(key))}:")
        print(snapshot_table(members, compact=options.compact))
    print(plural(sum(len(members) for _, members in shown), "snapshot"))
    return 0


def snapshot_table(
    snapshots: Sequence[Snapshot], *, compact: bool = False, reasons: Sequence[Sequence[str]] | None = None
) -> str:
    """One snapshot a line. `reasons` are another column; each has a line, and then each path has one too."""
    headings = ["id", "time", "host", "tags", *([] if reasons is None else ["reasons"])]
    headings += ["size"] if compact else ["paths", "size"]
    rows = []
    for number, snapshot in enumerate(snapshots):
        row = [snapshot.short_id, local_time(snapshot.time), snapshot.hostname, ",".join(snapshot.tags)]
        more: list[Sequence[str]] = []
        if reasons is not None:
            more.append(reasons[number] or [""])
        if not compact:
            more.append([", ".join(snapshot.paths)] if reasons is None else snapshot.paths)
        size = snapshot.summary.total_bytes_processed if snapshot.summary else None
        first, *others = zip_longest(*more, fillvalue="") if more else [()]
        rows.append([*row, *first, "" if size is None else format_size(size)])
        rows += [[*[""] * len(row), *each, ""] for each in others]
    return "\n".join(line.rstrip() for line in table(headings, rows).splitlines())


def _newest(snapshots: list[Snapshot], count: int | None) -> list[Snapshot]:
    return snapshots if count is None else newest_of_each(snapshots, count)[::-1]


def _key_object(key: GroupKey) -> Object:
    return {
        "hostname": key.host or "",
        "paths": list(key.paths or ()) or None,
        "tags": list(key.tags or ()) or None,
    }


SNAPSHOTS = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup snapshots                            all, with host, tags, paths and size
  hostward backup snapshots --host web1 --latest 3     the last three of a host
  hostward backup snapshots --group-by host --compact
  hostward backup snapshots --json | jq -r '.[-1].id'""",
    notes="exit codes: 0 done; 1 failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password.",
)
