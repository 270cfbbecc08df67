"""The commands of `hostward-collector`, and what all of them can be told."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from kit import commands

DATA_DIR = Path("/var/lib/hostward-collector")

COMMANDS = {
    "init": ("collector.cli.init:INIT", "set a collector up: certificates, database, first administrator"),
    "serve": ("collector.cli.serve:SERVE", "take reports, serve the pages and the API"),
    "certificate issue": ("collector.cli.certificate:ISSUE", "issue the server's certificate anew, for more names"),
    "token create": ("collector.cli.token:CREATE", "make a one-time token with which a host enrols"),
    "host list": ("collector.cli.host:LIST", "list the hosts and how they stand"),
    "host revoke": ("collector.cli.host:REVOKE", "take no more reports of a host, and free its name"),
    "api-token create": ("collector.cli.api_token:CREATE", "make a token with which a program uses the API"),
    "api-token list": ("collector.cli.api_token:LIST", "list the API tokens"),
    "api-token revoke": ("collector.cli.api_token:REVOKE", "end an API token"),
    "user create": ("collector.cli.user:CREATE", "add a person who may log in"),
    "user list": ("collector.cli.user:LIST", "list who may log in"),
    "user password": ("collector.cli.user:PASSWORD", "set a person's password, and end their sessions"),
    "user unlock": ("collector.cli.user:UNLOCK", "let a person log in whose name was locked by failed logins"),
    "user delete": ("collector.cli.user:DELETE", "remove a person"),
    "audit list": ("collector.cli.audit:LIST", "show what people, hosts and tokens did"),
    "audit verify": ("collector.cli.audit:VERIFY", "prove that the audit log is whole"),
}


def dispatch(words: Sequence[str]) -> int:
    """Run one command (kit.commands.dispatch)."""
    return commands.dispatch(commands.Program("hostward-collector", COMMANDS, _configure), words)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, metavar="DIR", help=f"instead of {DATA_DIR}")
