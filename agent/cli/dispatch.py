"""The commands of `hostward`, and what all of them can be told."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from kit import commands

COMMANDS = {
    "run": ("agent.cli.run:RUN", "run the agent in the foreground (systemd starts this)"),
    "status": ("agent.cli.status:STATUS", "show how this host stands"),
    "check": ("agent.cli.check:CHECK", "run checks now; exit codes of a monitoring plugin"),
    "jobs": ("agent.cli.jobs:JOBS", "show jobs: last run, outcome, next run"),
    "packages": ("agent.cli.packages:PACKAGES", "show what is installed, and which updates wait since when"),
    "config": ("agent.cli.config:CONFIG", "check, show and explain the configuration"),
    "enroll": ("agent.cli.enroll:ENROLL", "make this host known to a collector"),
    "backup": ("agent.cli.backup.dispatch:BACKUP", "back up and restore; it has commands of its own"),
    "logrotate": ("agent.cli.dispatch:LOGROTATE", "rotate logs as logrotate does, by its options and configuration"),
    "logs": ("agent.cli.logs.dispatch:LOGS", "rotate and analyse logs; it has commands of its own"),
}


def _logrotate(options: argparse.Namespace) -> int:
    from agent.cli import logrotate  # no other command needs what it loads

    return logrotate.run(options.arguments)


def _configure_logrotate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "arguments", nargs="*", metavar="CONFIG", help="a file or folder of logrotate's configuration"
    )


LOGROTATE = commands.Command(
    run=_logrotate,
    configure=_configure_logrotate,
    examples="  hostward logrotate /etc/logrotate.conf\n  hostward logrotate --usage",
    notes="It takes the options of logrotate, which `hostward logrotate --usage` lists, right behind its name.",
)
"""For `--help`; `agent.cli.main` does not come here where `logrotate` is the first word."""


def dispatch(words: Sequence[str]) -> int:
    """Run one command (kit.commands.dispatch)."""
    return commands.dispatch(commands.Program("hostward", COMMANDS, _configure), words)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="instead of /etc/hostward/agent.toml")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="instead of /var/lib/hostward")
