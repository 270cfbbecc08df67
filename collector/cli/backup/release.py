"""`hostward-collector backup release`: say that a flagged snapshot is as it should be."""

from __future__ import annotations

import argparse
import time

from collector.backups.keeping import books, records
from collector.backups.keeping.facts import Facts
from collector.cli.backup.ground import by, configure, ground
from kit.commands import Command
from kit.errors import HostwardError
from kit.terminal import clean


def _configure(parser: argparse.ArgumentParser) -> None:
    configure(parser)
    parser.add_argument("repository", metavar="REPOSITORY", help="its name, or that of a host")
    parser.add_argument("snapshots", nargs="+", metavar="SNAPSHOT", help="an id, or how one begins")


def _run(options: argparse.Namespace) -> int:
    with ground(options) as home:
        target = home.target(options.repository)
        with home.database.write() as connection:
            there = [one.facts for one in records.known(connection, target.name) if one.removed is None]
            found = {one.name: one for one in (_find(there, word) for word in options.snapshots)}
            for one in found.values():
                books.release(connection, target.name, one, by=by(), now=time.time())
    for one in found.values():
        becomes = "removed, for it never could be restored" if one.broken else "kept by the policy, as any other"
        print(f"{one.name[:8]} is released: from now on it is {becomes}.")
    return 0


def _find(there: list[Facts], word: str) -> Facts:
    fit = [one for one in there if one.name.startswith(word)]
    if len(fit) != 1:
        raise HostwardError(
            f"{clean(word)}: {'no snapshot' if not fit else 'more than one snapshot'} begins like that; nothing was "
            "released (hostward-collector backup flags lists those that are flagged)"
        )
    if not fit[0].flagged:
        raise HostwardError(f"{clean(word)} is not flagged; nothing was released")
    return fit[0]


RELEASE = Command(
    run=_run,
    configure=_configure,
    examples="""\
  hostward-collector backup release web1 4bba301e
  hostward-collector backup release web1 4bba301e 79766175""",
)
