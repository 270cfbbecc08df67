"""`hostward logs status`: the logs of the rules, how they grow, and what is kept of them."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import datetime

import msgspec

from agent.cli.logs.rules import add_json, add_names, chosen_rules
from agent.logs.rules import place
from agent.logs.rules.lasts import last_rotations
from agent.logs.rules.memory import Memory
from agent.logs.rules.preview import previews
from agent.logs.rules.sections import owners_of
from kit.commands import Command
from kit.jsontext import json_text
from kit.terminal import bounded, clean, table
from kit.units import format_size


class LogStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A log, as `--json` prints it. Times are seconds since the epoch, sizes bytes."""

    rule: str
    log: str
    size: int | None
    """None where there is no such log."""
    growth: float | None
    """Bytes that are written in a day, a mean over about a week; None while too little was seen."""
    last_rotation: float | None
    """Or when it was first seen."""
    next_rotation: float | None
    """By the clock; None where only the size says so."""
    due: bool
    reason: str
    kept: int
    """Old ones."""
    disk: int
    """What log and old ones take together."""
    trouble: str
    """Why it is never rotated."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add_names(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print a line for each log."""
    chosen = chosen_rules(options)
    folder = place.folder(options.state_dir)
    last_of, memory, now = last_rotations(folder), Memory(folder), time.time()
    owners = owners_of(chosen.every)
    found = []
    for rule in chosen.rules:
        for log in previews(rule, last_of, now, owners=owners, steps=False):
            look = memory.look(log.log)
            found.append(
                LogStatus(
                    rule=log.rule,
                    log=log.log,
                    size=log.size,
                    growth=look.per_day if look is not None else None,
                    last_rotation=log.last,
                    next_rotation=log.next,
                    due=log.due,
                    reason=log.reason,
                    kept=len(log.old),
                    disk=(log.size or 0) + sum(one.size for one in log.old),
                    trouble=log.trouble,
                )
            )
    if options.json:
        print(json_text({"logs": found}))
    elif not chosen.rules:
        print("no rules for logs are configured")
    else:
        _print_table(found)
    return 0


def _print_table(logs: Sequence[LogStatus]) -> None:
    headings = ("rule", "log", "size", "a day", "next", "kept", "disk")
    now = datetime.now().astimezone()
    rows: list[tuple[str, ...]] = []
    colours: list[tuple[str, ...]] = []
    for log in logs:
        rows.append(
            (
                log.rule,
                log.log,
                format_size(log.size) if log.size is not None else "-",
                format_size(log.growth) if log.growth is not None else "-",
                _next(log, now),
                str(log.kept),
                format_size(log.disk),
            )
        )
        colours.append(("", "", "", "", "critical" if log.trouble else "warning" if log.due else "", "", ""))
    rows.append(("", "all", *_sums(logs)))
    colours.append(("",) * len(headings))
    if sys.stdout.isatty():
        rows = _fitting(headings, rows, shutil.get_terminal_size().columns)
    print(table(headings, rows, colours=colours))
    for log in logs:
        if log.trouble:
            print(clean(f"{log.log} is never rotated: {log.trouble}"))


def _fitting(headings: Sequence[str], rows: Sequence[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """Rows as wide as the terminal: of names the beginning is shown, of paths the end."""
    rule = max(len(row[0]) for row in rows)
    rest = sum(max(map(len, column)) + 2 for column in list(zip(headings, *rows, strict=True))[2:])
    rule = max(min(rule, (width - rest) // 3), 4)
    log = max(width - rest - rule - 2, 8)
    cut = [row[1] if len(row[1]) <= log else f"…{row[1][1 - log :]}" for row in rows]
    return [(bounded(row[0], rule), path, *row[2:]) for row, path in zip(rows, cut, strict=True)]


def _sums(logs: Sequence[LogStatus]) -> tuple[str, ...]:
    size = sum(log.size or 0 for log in logs)
    growth = [log.growth for log in logs if log.growth is not None]
    kept, disk = sum(log.kept for log in logs), sum(log.disk for log in logs)
    return format_size(size), format_size(sum(growth)) if growth else "-", "", str(kept), format_size(disk)


def _next(log: LogStatus, now: datetime) -> str:
    if log.trouble:
        return "never"
    if log.due:
        return "now"
    if log.next_rotation is None:
        return "by size"
    when = datetime.fromtimestamp(log.next_rotation).astimezone()
    if when.date() == now.date():
        return f"{when:%H:%M}"
    return f"{when:%m-%d %H:%M}" if when.year == now.year else f"{when:%Y-%m-%d}"


STATUS = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward logs status
  hostward logs status nginx
  hostward logs status --json | jq '.logs[] | select(.growth > 1e9)'""",
    notes="""\
A log that was never rotated has its first look as the last rotation: its period began then.
How fast a log grows is seen by the runs of `hostward logs rotate` and `hostward logs watch`.
exit codes: 0 done, 1 failed, 2 bad usage or mistakes in the configuration.""",
)
