"""`hostward logs plan`: what would be rotated next, and why."""

from __future__ import annotations

import argparse
import sys
import time

import msgspec

from agent.cli.logs.rules import Chosen, add_json, add_names, chosen_rules
from agent.logs.rules import place
from agent.logs.rules.accounts import lacks
from agent.logs.rules.lasts import last_rotations
from agent.logs.rules.preview import Preview, previews
from agent.logs.rules.sections import owners_of
from kit.commands import Command
from kit.jsontext import json_text
from kit.terminal import clean, paint
from kit.units import format_size


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add_names(parser)
    parser.add_argument("-f", "--force", action="store_true", help="as if all of them were due")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print what would be done to each log."""
    print_plan(chosen_rules(options), options, force=options.force)
    return 0


def print_plan(chosen: Chosen, options: argparse.Namespace, *, force: bool) -> None:
    """Print it. Raises HostwardError and OSError for what cannot be read."""
    last_of = last_rotations(place.folder(options.state_dir))
    now = time.time()
    owners = owners_of(chosen.every)
    found = {rule.name: previews(rule, last_of, now, owners=owners, force=force) for rule in chosen.rules}
    for rule in chosen.rules:
        for lack in lacks(rule):
            print(f"hostward logs: {rule.name}: {lack.option}: {lack.text}", file=sys.stderr)
    if options.json:
        logs = [log for logs in found.values() for log in logs]
        print(json_text(msgspec.to_builtins({"logs": logs}, enc_hook=str)))
        return
    if not found:
        print("no rules for logs are configured")
    for name, logs in found.items():
        print(paint(name, "bold"))
        if not logs:
            print("  no log is there")
        for log in logs:
            print("\n".join(f"  {clean(line)}" for line in _lines(log)))


def _lines(log: Preview) -> list[str]:
    size = f", {format_size(log.size)}" if log.size is not None else ""
    lines = [f"{log.log}{size}"]
    if log.trouble:
        lines.append(f"  is never rotated: {log.trouble}")
    else:
        lines.append(f"  {'due' if log.due else 'not due'}: {log.reason}")
    if log.steps and not log.due:
        lines.append("  when it is due:")
    lines += [f"    {step}" for step in log.steps]
    if log.removals and not log.due:
        lines.append("  at the next run, due or not:")
    lines += [f"    remove {gone.path}, {format_size(gone.size)}: {gone.reason}" for gone in log.removals]
    return lines


PLAN = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward logs plan
  hostward logs plan nginx
  hostward logs plan --json | jq '.logs[] | select(.due) | .log'""",
    notes="""\
Nothing is changed. exit codes: 0 done, 1 failed, 2 bad usage or mistakes in the configuration.""",
)
