"""`hostward-collector certificate`: the server's certificate, and the names that it is for."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

from collector import tls
from collector.cli.command import note, opened
from kit.commands import Command
from kit.files import own_as_folder


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="HOSTNAME",
        help="a name or address under which hosts reach this collector, besides those it has; may be repeated",
    )


def _run(options: argparse.Namespace) -> int:
    folder: Path = options.data_dir
    # The entry is written first, and taken back where the certificate cannot be issued.
    with opened(options) as database, database.write() as connection:
        wanted = list(dict.fromkeys([*tls.names(folder), *options.name]))
        note(connection, "certificate.issued", detail=f"for {', '.join(wanted)}")
        tls.issue_server_certificate(folder, wanted, datetime.datetime.now(datetime.UTC))
        own_as_folder(folder / tls.SERVER)
    print(f"the certificate is for {', '.join(tls.names(folder))}; a running server takes it within a minute")
    return 0


ISSUE = Command(
    run=_run,
    configure=_configure,
    examples="""\
  hostward-collector certificate issue --name home.example.org --name 192.0.2.7
  hostward-collector certificate issue""",
    notes="Hosts keep trusting it: the authority that signs it, ca.pem, stays the same.",
)
