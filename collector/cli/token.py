"""`hostward-collector token`: one-time tokens with which hosts enrol."""

from __future__ import annotations

import argparse
import time

from collector.cli.command import duration, moment, note, opened
from collector.credentials import new_token
from collector.store.enrolment import add_token
from kit.commands import Command
from kit.units import Duration


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--expires",
        type=duration,
        default=Duration(86400),
        metavar="DURATION",
        help="how long the token can be used (24h)",
    )


def _create(options: argparse.Namespace) -> int:
    token, token_hash = new_token("hwe")
    now = time.time()
    with opened(options) as database, database.write() as connection:
        add_token(connection, token_hash, now=now, expires=now + options.expires)
        note(connection, "token.created", detail=f"for one host, until {moment(now + options.expires)}")
    print(token)
    return 0


CREATE = Command(
    run=_create,
    configure=_configure,
    examples="""\
  hostward-collector token create
  hostward-collector token create --expires 1h
  hostward enroll --collector https://home.example.org:8443 --ca ca.pem --token "$TOKEN\"""",
)
