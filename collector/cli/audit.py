"""`hostward-collector audit`: what people, hosts and tokens did, and whether that record is whole."""

from __future__ import annotations

import argparse

from collector import audit
from collector.audit import Head
from collector.cli.command import json_option, moment, opened
from kit.commands import Command
from kit.jsontext import json_text
from kit.terminal import table

USUAL = 100


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number above 0')
    return int(text)


def _head(text: str) -> Head:
    try:
        return Head.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'"{text}" is not {error}') from error


def _configure_list(parser: argparse.ArgumentParser) -> None:
    json_option(parser)
    parser.add_argument(
        "--last", type=_whole, default=USUAL, metavar="N", help=f"how many entries, the newest ({USUAL})"
    )


def _list(options: argparse.Namespace) -> int:
    with opened(options) as database, database.read() as connection:
        found = audit.entries(connection, limit=options.last)[::-1]
    if options.json:
        print(json_text(found, indent=False))
        return 0
    rows = [
        (str(entry.number), moment(entry.time), entry.act, entry.actor, entry.subject, entry.address, entry.detail)
        for entry in found
    ]
    print(table(("number", "time", "act", "by", "to", "from", "detail"), rows))
    return 0


def _configure_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--head",
        type=_head,
        metavar="NUMBER:HASH",
        help="an earlier head, kept elsewhere, that the log must still hold",
    )


def _verify(options: argparse.Namespace) -> int:
    with opened(options) as database, database.read() as connection:
        head = audit.verify(connection, options.head)
    print(f"{head.number} {'entry' if head.number == 1 else 'entries'}, and each follows from the one before it")
    print(f"head: {head}")
    return 0


LIST = Command(
    run=_list,
    configure=_configure_list,
    examples="""\
  hostward-collector audit list
  hostward-collector audit list --last 1000 --json""",
)
VERIFY = Command(
    run=_verify,
    configure=_configure_verify,
    examples="""\
  hostward-collector audit verify
  hostward-collector audit verify --head "$HEAD\"""",
    notes="""\
Without --head, entries that were cut off at the end are not missed. The server writes the head to its log
whenever it has changed: keep that log, or the heads, on another machine.

exit codes: 0 the log is whole; 1 it is not, and where""",
)
