"""The rules that a command is about."""

from __future__ import annotations

import argparse
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

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


class Chosen(NamedTuple):
    """The rules that a command is about."""

    rules: list[LogOptions]
    every: tuple[LogOptions, ...]
    """All that there are."""
    file: Path
    """Of the configuration."""


def chosen_rules(options: argparse.Namespace) -> Chosen:
    """The rules that are named, else all that are not turned off.

    Raises ConfigurationError, and UsageError for a name that no rule has.
    """
    file, named = configuration_file(options.config)
    every = load_log_rules(file, must_exist=named)
    rules = {rule.name: rule for rule in every}
    for name in options.names:
        if name not in rules:
            near = get_close_matches(name, rules, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else f"; there are {', '.join(rules)}" if rules else ""
            raise UsageError(f'there is no rule "{clean(name)}" in {file}{hint}')
        if not rules[name].enabled:
            raise UsageError(f"the rule {name} is turned off (enabled = false)")
    if options.names:
        return Chosen([rules[name] for name in dict.fromkeys(options.names)], every, file)
    return Chosen([rule for rule in every if rule.enabled], every, file)
