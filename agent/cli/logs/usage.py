"""`hostward logs usage`: what logs and the journal take of the disk, by application."""

from __future__ import annotations

import argparse
import sys

import msgspec

from agent.cli.logs.rules import add_json, add_names, chosen_rules
from agent.config.logs import LogOptions
from agent.logs import journal_usage
from agent.logs.journal import JournalError
from agent.logs.rules import place
from agent.logs.rules.accounts import said_of
from agent.logs.rules.sections import all_old, logs_of, rule_of
from agent.logs.rules.sweep import used_by
from agent.logs.watch.work import read_weights
from kit.commands import Command
from kit.jsontext import json_text
from kit.terminal import clean, table
from kit.units import format_size

PARTLY = 3
"""The exit code where the journal could not be read."""
SHOWN = 20
"""Units, at most, that are shown without `--json`: those that take most."""


_ADVICE = """\
What is a unit's is an estimate, by the number and the length of its entries.
journald removes the oldest entries of all units (SystemMaxUse= in journald.conf), and cannot remove those of one.
LogNamespace= gives a unit a journal of its own, with bounds of its own; LogRateLimitBurst= bounds what it writes."""


class RuleUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule takes, in bytes, as `--json` prints it; docs/logs.md describes it."""

    rule: str
    logs: int
    """What its logs and their old ones take."""
    journal: int | None
    """What the journal of its units takes; None where it has none, or nobody could tell."""
    budget: int | None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    rules: list[RuleUsage]
    journal: int | None
    """Bytes of the journal's files; None where there is none, or nobody could read it."""
    units: dict[str, int]
    """Of them by unit, an estimate; the most first."""
    error: str = ""
    """Why the journal is not known."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add_names(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print it. The exit code tells whether the journal could be read."""
    rules = chosen_rules(options).rules
    weights = read_weights(place.folder(options.state_dir))
    error, size, units = "", None, {}
    try:
        journal_usage.read_on(weights, [], lambda: False)
    except JournalError as problem:
        error = str(problem)
    else:
        size = journal_usage.size_of() or None
        if size is None:
            error = journal_usage.NO_JOURNAL
        else:
            units = journal_usage.shares(weights.by_unit(), size)
    usage = Usage(rules=[_of(rule, units, not error) for rule in rules], journal=size, units=units, error=error)
    if options.json:
        print(json_text(usage))
    else:
        _show(usage)
    return PARTLY if error else 0


def _of(rule: LogOptions, units: dict[str, int], is_known: bool) -> RuleUsage:
    with said_of(rule):
        form, logs = rule_of(rule), logs_of(rule)
    used = used_by(logs, all_old(rule, form, logs))
    budget = None if rule.budget is None else int(rule.budget)
    journal = sum(units.get(unit, 0) for unit in rule.units) if rule.units and is_known else None
    return RuleUsage(rule=rule.name, logs=used, journal=journal, budget=budget)


def _show(usage: Usage) -> None:
    if usage.rules:
        rows = [
            (
                one.rule,
                format_size(one.logs),
                "" if one.journal is None else format_size(one.journal),
                "" if one.budget is None else format_size(one.budget),
                "" if not one.budget else f"{100 * (one.logs + (one.journal or 0)) / one.budget:.0f} %",
            )
            for one in usage.rules
        ]
        print(table(("rule", "logs", "journal", "budget", "used"), rows))
        print()
    if usage.journal is None:
        print(f"hostward: {clean(usage.error)}", file=sys.stderr)
        return
    shown = list(usage.units.items())[:SHOWN]
    if shown:
        print(table(("unit", "journal"), [(unit, format_size(size)) for unit, size in shown]))
        print()
    print(f"The journal takes {format_size(usage.journal)}.", _ADVICE)


USAGE = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward logs usage           all rules, and the units that take most of the journal
  hostward logs usage nginx     this rule
  hostward logs usage --json""",
    notes="""\
The journal is read once from its beginning, which takes a while where it is large, and from where the watcher of logs
has read it where there is one.
exit codes: 0 done; 2 bad usage or configuration; 3 the journal could not be read, or there is none.""",
)
