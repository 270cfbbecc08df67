"""`hostward backup dump`: a file, or a folder as an archive, to standard output."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from agent.cli.backup.access import opened
from agent.cli.backup.picking import add_at, add_filters, name_and_rest, pick
from backup.format.node import FILE
from backup.restore.dump import Archive, dump
from backup.restore.locate import find_entry
from kit.commands import Command
from kit.errors import HostwardError, UsageError
from kit.terminal import clean


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("words", nargs="+", metavar="SNAPSHOT PATH", help="an id, or latest; a path in it, / is all")
    add_filters(parser)
    add_at(parser)
    kinds = [kind.value for kind in Archive]
    parser.add_argument(
        "-a", "--archive", choices=kinds, default=kinds[0], metavar="KIND", help="of a folder: tar or zip; tar"
    )
    parser.add_argument("-t", "--target", metavar="FILE", help="write to this file")


def run(options: argparse.Namespace) -> int:
    """Write it."""
    name, rest = name_and_rest(options, options.words, 1)
    if len(rest) != 1:
        raise UsageError("dump takes a snapshot and one path in it")
    path = os.fsencode(rest[0])
    with opened(options, "read") as repository:
        tree = pick(repository, options, name).tree
        node = find_entry(repository, tree, path)
        if options.target is None and sys.stdout.isatty() and (node is None or node.type != FILE):
            raise UsageError("an archive is nothing for a terminal: write it to a file or to another program")
        kind = Archive(options.archive)
        if options.target is None:
            dump(repository, tree, path, sys.stdout.buffer, kind)
            sys.stdout.buffer.flush()
            return 0
        try:
            with _replacing(Path(options.target)) as out:
                dump(repository, tree, path, out, kind)
        except BrokenPipeError:
            raise
        except OSError as error:  # that of a write does not say to what
            raise HostwardError(f"{clean(options.target)}: {error.strerror or error}") from error
    return 0


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` once it is whole; what is no regular file is written to directly."""
    if path.exists() and not path.is_file():
        with path.open("wb") as out:
            yield out
        return
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as out:
        try:
            yield out
            out.flush()
            Path(out.name).rename(path)
        except BaseException:
            Path(out.name).unlink()
            raise


DUMP = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup dump latest /etc/hosts
  hostward backup dump latest /etc | tar --list
  hostward backup dump latest /db.sql --at 2026-11-22 | psql shop""",
    notes="""\
After an error what was written is not whole. A zip keeps no owners, attributes or hard links.
exit codes: 0 done; 1 failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password.""",
)
