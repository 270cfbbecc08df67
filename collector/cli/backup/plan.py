"""`hostward-collector backup plan`: what would be removed, and why."""

from __future__ import annotations

import argparse
import asyncio

from collector.backups.keeping.figures import GroupFigure, PlanFigure, SnapshotFigure, plan_figure
from collector.cli.backup.ground import Ground, by, configure_choice, ground
from collector.cli.command import moment
from kit.commands import Command
from kit.jsontext import json_text
from kit.terminal import clean, table
from kit.units import format_size


def _run(options: argparse.Namespace) -> int:
    with ground(options) as home:
        show(home, options.repository, as_json=options.json)
    return 0


def show(home: Ground, word: str | None, *, as_json: bool) -> None:
    """Print the plans of one repository or of all. Raises HostwardError."""
    names = home.names()
    plans = [
        plan_figure(target, asyncio.run(home.keeper.plan(target, by=by())), names) for target in home.targets(word)
    ]
    if as_json:
        print(json_text(plans, indent=False))
        return
    for plan in plans:
        _print(plan)


def _print(plan: PlanFigure) -> None:
    print(f"{clean(plan.title)}: {plan.policy}; {plan.removed} would be removed now")
    if plan.limits:
        print(f"  {plan.limits}")
    if plan.stopped:
        print(f"  nothing is removed: {clean(plan.stopped)}")
    if plan.unknown:
        print(f"  {plan.unknown} that home did not see come are left alone")
    for group in plan.groups:
        _print_group(group)


def _print_group(group: GroupFigure) -> None:
    said = f" as {group.hostname}" if group.hostname not in ("", group.host) else ""
    print(f"  {clean(group.host or 'unknown')}{clean(said)} {clean(', '.join(group.paths))}".rstrip())
    if group.stopped:
        print(f"  nothing of it is removed: {clean(group.stopped)}")
    print(table(("  snapshot", "received", "size", "becomes", "why"), [_row(one) for one in group.snapshots]))


def _row(one: SnapshotFigure) -> tuple[str, ...]:
    size = "" if one.bytes is None else format_size(one.bytes)
    return (
        f"  {one.name[:8]}",
        moment(one.received),
        size,
        "kept" if one.keep else "removed",
        ", ".join(reason.removesuffix(" snapshot") for reason in one.reasons),
    )


PLAN = Command(
    run=_run,
    configure=configure_choice,
    examples="""\
  hostward-collector backup plan
  hostward-collector backup plan web1 --json""",
    notes="""\
Home looks into what came since it last looked, and notes what is odd about it. Nothing is removed.""",
)
