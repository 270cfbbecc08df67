"""`hostward-collector backup acknowledge`: say that somebody has looked at an alert."""

from __future__ import annotations

import argparse
import time

from collector.backups.keeping import books, records
from collector.cli.backup.ground import by, configure, ground
from kit.commands import Command
from kit.errors import HostwardError
from kit.terminal import clean


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 19):
        raise argparse.ArgumentTypeError(f'"{text}" is not the number of an alert')
    return int(text)


def _configure(parser: argparse.ArgumentParser) -> None:
    configure(parser)
    parser.add_argument("alerts", nargs="+", type=_number, metavar="ALERT", help="its number")


def _run(options: argparse.Namespace) -> int:
    with ground(options) as home, home.database.write() as connection:
        known = {one.id: one for one in records.alerts(connection)}
        for number in options.alerts:
            if number not in known:
                raise HostwardError(f"there is no alert {number} (hostward-collector backup flags lists them)")
            if known[number].acknowledged is not None:
                raise HostwardError(f"alert {number} has ended already; nothing was acknowledged")
        found = [known[number] for number in dict.fromkeys(options.alerts)]
        for one in found:
            books.acknowledge(connection, one, by=by(), now=time.time())
    for one in found:
        print(f"alert {one.id} is acknowledged: {clean(one.message)}")
    return 0


ACKNOWLEDGE = Command(
    run=_run,
    configure=_configure,
    examples="  hostward-collector backup acknowledge 17",
    notes="""\
What the alert stopped goes on, and what came since it began shows what is usual from now on.
Snapshots that are flagged stay so until `backup release`.""",
)
