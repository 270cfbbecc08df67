"""`hostward config`: check, show and explain the configuration."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Mapping
from typing import Protocol, TypeVar

import msgspec

from agent.config.defaults import effective_checks
from agent.config.example import example
from agent.config.load import read
from agent.config.log_rules import TABLE as LOGS
from agent.config.reference import reference
from agent.config.schema import Config
from agent.logs.rules.accounts import lacks
from agent.paths import System, configuration_file
from kit.commands import Command
from kit.errors import UsageError
from kit.options.load import Loaded, MistakesError
from kit.options.show import Entry, entries
from kit.options.tree import Mistake, dotted
from kit.options.words import literal
from kit.terminal import clean, paint


class _Table(Protocol):
    @property
    def enabled(self) -> bool: ...


T = TypeVar("T", bound=_Table)


def configure(parser: argparse.ArgumentParser) -> None:
    # A plain word instead of subparsers: those would not take --config after it.
    parser.add_argument("action", choices=["check", "show", "reference", "example"], help="see below")
    parser.add_argument("--json", action="store_true", help="print JSON (check and show)")


def run(options: argparse.Namespace) -> int:
    if options.action in ("reference", "example"):
        if options.json:
            raise UsageError(f"config {options.action} prints text; --json is for config check and config show")
        print(reference() if options.action == "reference" else example(), end="")
        return 0
    file, named = configuration_file(options.config)
    system = System()
    try:
        loaded = read(file, system=system, must_exist=named)
    except MistakesError as error:
        if options.action == "check" and options.json:
            print(json.dumps({"valid": False, "mistakes": [_mistake(mistake) for mistake in error.mistakes]}))
            return error.exit_code
        raise
    effective = _effective(loaded.value, system)
    if options.action == "check":
        _print_check(loaded, effective, as_json=options.json)
    else:
        _print_show(loaded, effective, as_json=options.json)
    return 0


def _effective(config: Config, system: System) -> Config:
    """What runs: the host's default checks stand in it like configured ones, and what is turned off does not."""
    drills = _enabled(config.drills)
    tried = {drill.backup for drill in drills.values()}
    return msgspec.structs.replace(
        config,
        checks=effective_checks(config, system),
        jobs=_enabled(config.jobs),
        # What a drill restores is in force, whether or not more is saved.
        backups={name: job for name, job in config.backups.items() if job.enabled or name in tried},
        drills=drills,
        logs=tuple(rule for rule in config.logs if rule.enabled),
    )


def _enabled(tables: Mapping[str, T]) -> dict[str, T]:
    return {name: options for name, options in tables.items() if options.enabled}


def _print_check(loaded: Loaded[Config], effective: Config, *, as_json: bool) -> None:
    files = [str(file) for file in loaded.files]
    warnings = [
        Mistake(loaded.tree.place(path), path, lack.text)
        for number, rule in enumerate(loaded.value.logs)
        if rule.enabled
        for lack in lacks(rule)
        for path in [(LOGS, number, lack.option)]
    ]
    running: dict[str, Collection[str]] = {
        "checks": effective.checks,
        "jobs": effective.jobs,
        "backups": _enabled(effective.backups),
        "drills": effective.drills,
    }
    if as_json:
        rules = [rule.name for rule in effective.logs]
        runs = {name: list(tables) for name, tables in running.items()} | {"logs": rules}
        print(json.dumps({"valid": True, "files": files, **runs, "warnings": list(map(_mistake, warnings))}))
        return
    for warning in warnings:
        print(f"hostward: warning: {warning}", file=sys.stderr)
    said = f"{', '.join(files)}: valid" if files else "no configuration file, so the defaults hold"
    counts = [
        _count(tables, name.removesuffix("s"))
        for name, tables in running.items()
        if tables or name in ("checks", "jobs")
    ]
    for_logs = f"; {_count(effective.logs, 'rule')} for logs" if effective.logs else ""
    print(clean(f"{said}; {', '.join(counts[:-1])} and {counts[-1]} run{for_logs}"))


def _count(things: Collection[object], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _print_show(loaded: Loaded[Config], effective: Config, *, as_json: bool) -> None:
    found = list(entries(effective, loaded.tree))
    if as_json:
        report = {"files": [str(file) for file in loaded.files], "options": [_entry(entry) for entry in found]}
        print(json.dumps(report))
        return
    # TOML with dotted keys: a line says all about its option, so grep finds it, and it can be pasted into a file.
    lines = [clean(f"{dotted(entry.path)} = {literal(entry.value)}") for entry in found]
    width = min(max(map(len, lines)), 60)
    for line, entry in zip(lines, found, strict=True):
        where = clean(f"# {entry.place or 'default'}")
        print(f"{line:<{width}}  {where if entry.place else paint(where, 'dim')}")


def _entry(entry: Entry) -> dict[str, object]:
    return {
        "key": dotted(entry.path),
        "value": None if entry.secret else entry.value,
        "secret": entry.secret,
        "file": entry.place.file if entry.place else None,
        "line": entry.place.line if entry.place else None,
    }


def _mistake(mistake: Mistake) -> dict[str, object]:
    return {
        "file": mistake.place.file if mistake.place else None,
        "line": (mistake.place.line or None) if mistake.place else None,
        "key": dotted(mistake.path),
        "message": mistake.text,
    }


CONFIG = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward config check --config new-agent.toml && mv new-agent.toml /etc/hostward/agent.toml
  hostward config show | grep checks.disk
  hostward config show --json
  hostward config example > agent.toml""",
    notes="""\
what it can do:
  check      report every mistake with its file and line (exit code 2), or say that all is well; what rules for logs
             name and this host has not (users, groups, programs) is a warning
  show       print the configuration in force, defaults included, and where each value comes from
  reference  print every option with its type, default, description and example, as Markdown
  example    print an agent.toml to begin with, in which everything is commented out

Files beside agent.toml called agent.d/*.toml are merged over it. exit codes: 0 done, 2 mistakes.""",
)
