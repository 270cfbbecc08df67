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
    "database show": ("collector.cli.database:SHOW", "say where home's database is, and how large"),
    "database save": ("collector.cli.database:SAVE", "write all that home knows into a file, as of one moment"),
    "database load": ("collector.cli.database:LOAD", "have home know what such a file says, and nothing else"),
    "database move": ("collector.cli.database:MOVE", "have the database elsewhere, with all that is in it"),
    "certificate issue": ("collector.cli.certificate:ISSUE", "issue the server's certificate anew, for more names"),
    "token create": ("collector.cli.token:CREATE", "make a one-time token with which a host enrols"),
    "host list": ("collector.cli.host:LIST", "list the hosts and how they stand"),
    "host groups": ("collector.cli.groups:GROUPS", "say which groups a host is in, and its tags"),
    "host revoke": ("collector.cli.host:REVOKE", "take no more reports of a host, and free its name"),
    "api-token create": ("collector.cli.api_token:CREATE", "make a token with which a program uses the API"),
    "api-token list": ("collector.cli.api_token:LIST", "list the API tokens"),
    "api-token revoke": ("collector.cli.api_token:REVOKE", "end an API token"),
    "user create": ("collector.cli.user:CREATE", "add a person who may log in"),
    "user list": ("collector.cli.user:LIST", "list who may log in"),
    "user password": ("collector.cli.user:PASSWORD", "set a person's password, and end their sessions"),
    "user unlock": ("collector.cli.user:UNLOCK", "let a person log in whose name was locked by failed logins"),
    "user delete": ("collector.cli.user:DELETE", "remove a person"),
    "backup list": ("collector.cli.backup.listing:LIST", "list the repositories at home and how they stand"),
    "backup plan": ("collector.cli.backup.plan:PLAN", "say which snapshots at home would be removed, and why"),
    "backup keep": ("collector.cli.backup.keep:KEEP", "remove at home what the policy does not keep, now"),
    "backup verify": ("collector.cli.backup.verify:VERIFY", "read repositories at home back"),
    "backup lost": (
        "collector.cli.backup.lost:LOST",
        "say that what a repository held is gone, so that it may begin anew",
    ),
    "backup flags": ("collector.cli.backup.flags:FLAGS", "show what is odd about snapshots at home, and the alerts"),
    "backup release": ("collector.cli.backup.release:RELEASE", "say that a flagged snapshot is as it should be"),
    "backup acknowledge": (
        "collector.cli.backup.acknowledge:ACKNOWLEDGE",
        "say that an alert was looked at, so that what it stopped goes on",
    ),
    "window list": ("collector.cli.window:LIST", "list the maintenance windows"),
    "window open": ("collector.cli.window:OPEN", "say that somebody is at work on hosts"),
    "window close": ("collector.cli.window:CLOSE", "say that the work is done"),
    "audit list": ("collector.cli.audit:LIST", "show what people, hosts and tokens did"),
    "audit verify": ("collector.cli.audit:VERIFY", "prove that the audit log is whole"),
}


def dispatch(words: Sequence[str]) -> int:
    """Run one command (kit.commands.dispatch)."""
    return commands.dispatch(commands.Program("hostward-collector", COMMANDS, _configure), words)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, metavar="DIR", help=f"instead of {DATA_DIR}")
