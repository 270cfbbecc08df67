"""`hostward-collector backup list`: the repositories at home and how they stand."""

from __future__ import annotations

import argparse
import time

from collector.backups.keeping.figures import RepositoryFigure, WorkFigure, overview
from collector.cli.backup.ground import configure, ground
from collector.cli.command import ago, json_option
from kit.commands import Command
from kit.jsontext import json_text
from kit.terminal import clean, table
from kit.units import format_size
from kit.zones import zone_of


def _configure(parser: argparse.ArgumentParser) -> None:
    configure(parser)
    json_option(parser)


def _run(options: argparse.Namespace) -> int:
    with ground(options) as home, home.database.read() as connection:
        found = overview(connection, home.options, now=time.time(), zone=zone_of(""))
    if options.json:
        print(json_text(found, indent=False))
        return 0
    if not found:
        print("no host has a repository here yet")
        return 0
    headings = ("repository", "size", "snapshots", "flagged", "alerts", "received", "kept", "verified")
    print(table(headings, [_row(one) for one in found]))
    for policy in dict.fromkeys(one.policy for one in found):
        print(f"{policy}: {', '.join(clean(one.title) for one in found if one.policy == policy)}")
    for one in found:
        if one.limits:
            print(f"{clean(one.title)}: {one.limits}: {format_size(one.used)} in all")
    return 0


def _row(one: RepositoryFigure) -> tuple[str, ...]:
    return (
        one.title,
        format_size(one.used),
        str(one.snapshots),
        str(one.flagged),
        str(len(one.alerts)),
        ago(one.received),
        _shown(one.last_keep),
        _shown(one.last_verify),
    )


def _shown(work: WorkFigure | None) -> str:
    if work is None:
        return "never"
    return ago(work.started) + ("" if work.outcome == "done" else f" ({work.outcome})")


LIST = Command(
    run=_run,
    configure=_configure,
    examples="""\
  hostward-collector backup list
  hostward-collector backup list --json""",
    notes="""\
SNAPSHOTS are those that home has seen when it last kept the repository.
FLAGGED are those that are odd: `backup flags` says why.""",
)
