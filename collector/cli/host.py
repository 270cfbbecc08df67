"""`hostward-collector host`: the hosts that report here."""

from __future__ import annotations

import argparse
import time

from collector.cli.command import json_option, note, opened
from collector.fleet import Beside, summary
from collector.store import hosts
from kit.commands import Command
from kit.errors import HostwardError
from kit.jsontext import json_text
from kit.terminal import table
from kit.units import format_duration


def _list(options: argparse.Namespace) -> int:
    with opened(options) as database, database.read() as connection:
        beside = Beside.read(connection, time.time())
        found = [beside.add(summary(record)) for record in hosts.active_hosts(connection)]
    if options.json:
        print(json_text(found, indent=False))
        return 0
    now = time.time()
    rows = [
        (
            host.name,
            host.state,
            "never" if host.last_received is None else f"{format_duration(max(0, now - host.last_received))} ago",
            host.id,
            host.message,
        )
        for host in found
    ]
    print(
        table(
            ("name", "state", "last report", "id", "message"),
            rows,
            colours=[("", host.state, "", "dim", "") for host in found],
        )
    )
    return 0


def _configure_revoke(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="NAME_OR_ID")


def _revoke(options: argparse.Namespace) -> int:
    with opened(options) as database, database.write() as connection:
        found = hosts.find_active(connection, options.host)
        if found is None:
            raise HostwardError(
                f"there is no host with the name or id {options.host} (hostward-collector host list shows them)"
            )
        hosts.revoke(connection, found.id, time.time())
        note(connection, "host.revoked", subject=f"host:{found.id}", detail=found.name)
    print(f"{found.name} ({found.id}) is revoked: its reports are refused, and its name is free.")
    return 0


LIST = Command(
    run=_list,
    configure=json_option,
    examples="""\
  hostward-collector host list
  hostward-collector host list --json""",
)
REVOKE = Command(run=_revoke, configure=_configure_revoke, examples="  hostward-collector host revoke web1")
