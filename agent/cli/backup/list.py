"""`hostward backup list`: the ids of one kind of objects."""

from __future__ import annotations

import argparse

from agent.cli.backup.access import opened
from backup.stores.contract import FileKind
from kit.commands import Command
from kit.errors import UsageError

KINDS = {
    "packs": FileKind.PACK,
    "index": FileKind.INDEX,
    "snapshots": FileKind.SNAPSHOT,
    "keys": FileKind.KEY,
    "locks": FileKind.LOCK,
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its argument."""
    parser.add_argument("kind", metavar="KIND", help=", ".join([*KINDS, "blobs"]))


def run(options: argparse.Namespace) -> int:
    """Print one id a line."""
    kind = options.kind
    if kind not in KINDS and kind != "blobs":
        raise UsageError(f'there is no kind of objects "{kind}": expected {", ".join([*KINDS, "blobs"])}')
    with opened(options, "none" if kind == "locks" else "read") as repository:
        if kind == "blobs":
            for blob, id, _ in repository.blobs:
                print(blob.name.lower(), id.hex())
        else:
            for name in sorted(name for name, _ in repository.names(KINDS[kind])):
                print(name)
    return 0


LIST = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup list snapshots
  hostward backup list locks        who works on the repository: `cat lock ID` tells
  hostward backup list blobs        with their kind: data or tree""",
    notes="exit codes: 0 done; 1 failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password.",
)
