"""`hostward`: one file per command, loaded when it is called. The only place that prints errors and exits."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kit.version import __version__

COMMANDS = {
    "run": ("agent.cli.run", "run the agent in the foreground (systemd starts this)"),
    "status": ("agent.cli.status", "show how this host stands"),
    "check": ("agent.cli.check", "run checks now; exit codes of a monitoring plugin"),
    "jobs": ("agent.cli.jobs", "show jobs: last run, outcome, next run"),
    "config": ("agent.cli.config", "check, show and explain the configuration"),
    "enroll": ("agent.cli.enroll", "make this host known to a collector"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (kit.errors says which there are)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in (["--version"], ["-V"]):
        print(f"hostward {__version__}")
        return 0
    from agent.cli.dispatch import dispatch  # argparse alone costs as much as starting Python

    return dispatch(words)
