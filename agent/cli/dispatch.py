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
    "config": ("agent.cli.config:CONFIG", "check, show and explain the configuration"),
    "enroll": ("agent.cli.enroll:ENROLL", "make this host known to a collector"),
    "backup": ("agent.cli.backup.dispatch:BACKUP", "back up and restore; it has commands of its own"),
    "logs": ("agent.cli.logs.dispatch:LOGS", "rotate and analyse logs; it has commands of its own"),
}


def dispatch(words: Sequence[str]) -> int:
    """Run one command (kit.commands.dispatch)."""
    return commands.dispatch(commands.Program("hostward", COMMANDS, _configure), words)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="instead of /etc/hostward/agent.toml")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="instead of /var/lib/hostward")
