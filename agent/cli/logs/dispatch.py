"""The commands of `hostward logs`."""

from __future__ import annotations

import argparse
from pathlib import Path

from kit.commands import Program

_HERE = "agent.cli.logs"

COMMANDS = {
    "plan": (f"{_HERE}.plan:PLAN", "show what would be rotated next, and why"),
    "rotate": (f"{_HERE}.rotate:ROTATE", "rotate the logs that are due"),
    "status": (f"{_HERE}.status:STATUS", "show the logs: size, growth, next rotation, what is kept"),
    "import": (f"{_HERE}.importing:IMPORT", "turn logrotate's configuration into rules of ours"),
    "watch": (f"{_HERE}.watch:WATCH", "rotate logs when they are due, not when a timer comes by"),
    "usage": (f"{_HERE}.usage:USAGE", "show what logs and the journal take of the disk, by application"),
    "analyse": (f"{_HERE}.analyse:ANALYSE", "sum up what logs say"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what every command can be told, as `hostward` itself can."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="instead of /etc/hostward/agent.toml")
    parser.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="instead of /var/lib/hostward, and DIR/logs instead of /var/lib/hostward-logs",
    )


LOGS = Program("hostward logs", COMMANDS, configure, known_as={"analyze": "analyse"})
