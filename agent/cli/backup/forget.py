"""`hostward backup forget`: snapshots that rules do not keep."""

from __future__ import annotations

import argparse
import time

from agent.cli.backup.access import opened
from agent.cli.backup.options import parsed
from agent.cli.backup.output import plural, print_json, warn
from agent.cli.backup.picking import add_filters, all_snapshots, filter_of
from agent.cli.backup.progress import Phase, progress
from agent.cli.backup.pruning import add_rules, print_pruned, prune_options
from agent.cli.backup.shapes import Object, snapshot_object
from agent.cli.backup.snapshots import snapshot_table
from backup.errors import RepositoryError
from backup.format.snapshot import Snapshot
from backup.maintain.forget import forget
from backup.select.policy import GroupDecision, Policy, decide, parse_count
from backup.select.snapshots import Grouping, find_snapshots, parse_tags
from backup.select.spans import NO_SPAN, Span
from kit.commands import Command
from kit.errors import UsageError
from kit.terminal import clean
from kit.zones import zone_of

_COUNTS = {"last": "l", "hourly": "H", "daily": "d", "weekly": "w", "monthly": "m", "yearly": "y"}
_SPANS = ("within", "within_hourly", "within_daily", "within_weekly", "within_monthly", "within_yearly")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("snapshots", nargs="*", metavar="SNAPSHOT", help="forget these, whatever the rules say")
    rules = parser.add_argument_group("rules: what any of them keeps is kept")
    for name, letter in _COUNTS.items():
        which = "the last N" if name == "last" else f"the last one of each of the last N {name} periods"
        rules.add_argument(
            f"-{letter}",
            f"--keep-{name}",
            type=parsed(parse_count),
            default=0,
            metavar="N",
            help=f"{which}, or unlimited",
        )
    for name in _SPANS:
        unit = name.removeprefix("within").removeprefix("_")
        rules.add_argument(
            f"--keep-{name.replace('_', '-')}",
            type=parsed(Span.parse),
            default=NO_SPAN,
            metavar="TIME",
            help=f"all {unit + ' ones ' if unit else ''}not older than this before the newest: 1y5m7d2h",
        )
    rules.add_argument(
        "--keep-tag", action="append", default=[], metavar="TAG[,TAG…]", help="all that have these tags"
    )
    rules.add_argument("--unsafe-allow-remove-all", action="store_true", help="let no snapshot of a group be kept")
    add_filters(parser, short_host=False)
    parser.add_argument(
        "-g",
        "--group-by",
        type=parsed(Grouping.parse),
        default="host,paths",
        metavar="GROUP",
        help="the rules hold for each group: host, paths, tags, or '' for all at once; host,paths",
    )
    parser.add_argument("-c", "--compact", action="store_true", help="without paths")
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--prune", action="store_true", help="then remove what no snapshot needs any more")
    add_rules(parser)


def run(options: argparse.Namespace) -> int:
    """Decide, tell, forget, and prune."""
    policy = _policy(options)
    wanted = filter_of(options)
    if options.unsafe_allow_remove_all and not wanted and not options.snapshots:
        raise UsageError("--unsafe-allow-remove-all goes only with --host, --tag or --path")
    phase = Phase()
    pruning = prune_options(options, phase.update) if options.prune else None
    left_out: list[str] = []
    with opened(options, "exclusive") as repository:
        snapshots = all_snapshots(repository, left_out)
        if options.snapshots:
            going = find_snapshots(snapshots, options.snapshots, wanted)
        else:
            groups = decide(
                find_snapshots(snapshots, [], wanted),
                policy,
                options.group_by,
                now=time.time_ns(),
                local=zone_of(""),
                may_remove_all=options.unsafe_allow_remove_all,
                everything=snapshots,
            )
            going = [snapshot for group in groups for snapshot in group.removed]
            _print(groups, policy, options)
        with progress(options, phase.status):
            result = forget(
                repository,
                going,
                prune_options=pruning,
                dry_run=options.dry_run,
                on_removed=lambda done: phase.update("snapshots", done, len(going)),
            )
    if not options.json and not options.quiet:
        _print_removed(going if options.dry_run else result.removed, options)
    for name, error in result.not_removed.items():
        warn(f"snapshot {name[:8]} could not be removed: {error}")
    code = print_pruned(result.pruned, options) if result.pruned is not None else 0
    return RepositoryError.exit_code if result.not_removed or left_out else code


def _policy(options: argparse.Namespace) -> Policy:
    given = {name: getattr(options, f"keep_{name}") for name in (*_COUNTS, *_SPANS)}
    return Policy(**given, tags=tuple(parse_tags(text) for text in options.keep_tag))


def _print(groups: list[GroupDecision], policy: Policy, options: argparse.Namespace) -> None:
    if options.json:
        print_json([_object(group) for group in groups])
        return
    if options.quiet:
        return
    print(f"policy: {policy}")
    for group in groups:
        if options.group_by != Grouping():
            print(f"\n{clean(str(group.key))}:")
        if group.kept:
            reasons = [decision.reasons for decision in group.decisions if decision.keep]
            print(f"keep {plural(len(group.kept), 'snapshot')}:")
            print(snapshot_table(group.kept, compact=options.compact, reasons=reasons))
        if group.removed:
            print(f"remove {plural(len(group.removed), 'snapshot')}, which no rule keeps:")
            print(snapshot_table(group.removed, compact=options.compact))


def _print_removed(removed: list[Snapshot], options: argparse.Namespace) -> None:
    done = "would remove" if options.dry_run else "removed"
    names = f": {' '.join(snapshot.short_id for snapshot in removed)}" if removed else ""
    print(f"{done} {plural(len(removed), 'snapshot')}{names}")
    if removed and not options.prune and not options.dry_run:
        print("`hostward backup prune` frees the room that they took")


def _object(group: GroupDecision) -> Object:
    return {
        "tags": list(group.key.tags or ()) or None,
        "host": group.key.host or "",
        "paths": list(group.key.paths or ()) or None,
        "keep": [snapshot_object(each) for each in group.kept] or None,
        "remove": [snapshot_object(each) for each in group.removed] or None,
        "reasons": [
            {"snapshot": snapshot_object(each.snapshot), "matches": each.reasons}
            for each in group.decisions
            if each.keep
        ]
        or None,
    }


FORGET = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run
  hostward backup forget --keep-within 30d --prune
  hostward backup forget 5c4f17a2                          this one""",
    notes="""\
The rules are restic's, and so are their answers. They hold for each group by itself: by default for the snapshots of
one host and one set of paths. Without a rule nothing is forgotten. WAL of PostgreSQL is kept as long as a base backup
of its cluster is older.
exit codes: 0 done; 1 failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password.""",
)
