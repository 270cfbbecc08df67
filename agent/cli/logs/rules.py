"""The rules that a command is about."""

from __future__ import annotations

import argparse
from difflib import get_close_matches
from pathlib import Path

from agent.config.log_rules import load_log_rules
from agent.config.logs import LogOptions
from agent.paths import configuration_file
from kit.errors import UsageError
from kit.terminal import clean


def add_names(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names rules."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="these rules alone; else all")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option that every command has."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def chosen_rules(options: argparse.Namespace) -> tuple[list[LogOptions], Path]:
    """The rules that are named, else all that are not turned off; and the file of the configuration.

    Raises ConfigurationError, and UsageError for a name that no rule has.
    """
    file, named = configuration_file(options.config)
    rules = {rule.name: rule for rule in load_log_rules(file, must_exist=named)}
    for name in options.names:
        if name not in rules:
            near = get_close_matches(name, rules, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else f"; there are {', '.join(rules)}" if rules else ""
            raise UsageError(f'there is no rule "{clean(name)}" in {file}{hint}')
    if options.names:
        return [rules[name] for name in dict.fromkeys(options.names)], file
    return [rule for rule in rules.values() if rule.enabled], file
