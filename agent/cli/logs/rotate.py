"""`hostward logs rotate`: rotates the logs that are due."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.cli.logs.plan import print_plan
from agent.cli.logs.rules import add_json, add_names, chosen_rules
from agent.cli.logs.waiting import Waiting
from agent.config.logs import LogOptions
from agent.logs.rotate.say import Voice
from agent.logs.rules import place
from agent.logs.rules.sections import owners_of
from agent.logs.rules.turn import Outcome, known_logs, turn
from agent.logs.watch import status
from agent.paths import state_folder
from kit.commands import Command
from kit.jsontext import json_text
from kit.terminal import clean
from kit.units import format_size

FAILED = 1


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """A rule's logs, as `--json` prints them; docs/logs.md describes it."""

    rule: str
    rotated: list[dict[str, str]]
    """Each with `log` and `reason`."""
    removed: list[dict[str, str | int]]
    """Each with `path`, `size` in bytes and `reason`."""
    freed: int
    """Bytes that its files take less than before."""
    errors: list[str]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add_names(parser)
    parser.add_argument("-f", "--force", action="store_true", help="rotate logs that are not due too, but empty ones")
    parser.add_argument("-n", "--dry-run", action="store_true", help="change nothing: show what would be done")
    parser.add_argument("-v", "--verbose", action="store_true", help="show each step")
    parser.add_argument("-q", "--quiet", action="store_true", help="show errors alone")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Rotate, and say what was done. The exit code tells of errors."""
    chosen = chosen_rules(options)
    if options.dry_run:
        print_plan(chosen, options, force=options.force)
        return 0
    rules = chosen.rules
    folder, now = place.folder(options.state_dir), time.time()
    hooks = Waiting(state_folder(options.state_dir), now=now, quiet=options.quiet or options.json)
    try:
        outcomes = turn(
            rules,
            folder=folder,
            config=chosen.file if options.config is not None else None,
            now=now,
            voice=Voice(verbose=options.verbose),
            force=known_logs(rules) if options.force else (),
            hooks=hooks,
            journal=_journal(folder, rules),
            owners=owners_of(chosen.every),
        )
    finally:
        hooks.close()
    if options.json:
        print(json_text({"rules": [_shown(one) for one in outcomes]}))
    else:
        _tell(rules, outcomes, hooks.left, quiet=options.quiet)
    return FAILED if any(outcome.errors for outcome in outcomes) else 0


def _journal(folder: Path, rules: Sequence[LogOptions]) -> dict[str, int]:
    """What counts of the journal into each budget, as the watcher of logs has found; nothing where none runs."""
    if not any(rule.units for rule in rules):
        return {}
    try:
        found = status.read(folder / status.NAME, owners=frozenset({0, os.geteuid()}))
    except (OSError, status.StatusError):
        return {}
    return {name: rule.counted for name, rule in found.rules.items()}


def _tell(rules: Sequence[LogOptions], outcomes: Sequence[Outcome], left: Sequence[str], *, quiet: bool) -> None:
    lines = []
    for outcome in outcomes:
        lines += [f"rotated {log}: {outcome.verdicts[log].reason}" for log in outcome.rotated]
        lines += [
            f"removed {removal.old.path}, {format_size(removal.old.size)}: {removal.reason}"
            for removal in outcome.removed
        ]
    lines += [f"{path} stays uncompressed until a check has read it to its end" for path in left]
    if not rules:
        lines.append("no rules for logs are configured")
    elif not lines:
        lines.append("no log was rotated" if any(outcome.errors for outcome in outcomes) else "no log was due")
    if not quiet:
        print("\n".join(map(clean, lines)))
    for outcome in outcomes:
        for error in outcome.errors:
            print(clean(f"hostward logs: {outcome.rule}: {error}"), file=sys.stderr)


def _shown(outcome: Outcome) -> Rotated:
    return Rotated(
        rule=outcome.rule,
        rotated=[{"log": log, "reason": outcome.verdicts[log].reason} for log in outcome.rotated],
        removed=[
            {"path": removal.old.path, "size": removal.old.size, "reason": removal.reason}
            for removal in outcome.removed
        ],
        freed=outcome.freed,
        errors=outcome.errors,
    )


ROTATE = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward logs rotate
  hostward logs rotate nginx --force
  hostward logs rotate --dry-run""",
    notes="""\
Old logs that are not to be kept are removed whether a log is due or not. A run that was killed is finished first.
exit codes: 0 done, 1 some of it failed, 2 bad usage or mistakes in the configuration.""",
)
