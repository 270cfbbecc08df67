"""`hostward backup wal archive`: what PostgreSQL's archive_command runs for each segment of WAL."""

from __future__ import annotations

import argparse
from pathlib import Path

from agent.backups.wal.spool import archive
from agent.cli.backup.options import configure_without_repository
from kit.commands import Command


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("spool", metavar="SPOOL", help="the folder in which WAL waits to be saved")
    parser.add_argument("path", metavar="PATH", help="the file; %%p in archive_command")
    parser.add_argument("name", metavar="NAME", help="its name; %%f in archive_command")


def run(options: argparse.Namespace) -> int:
    """Put it there."""
    archive(Path(options.spool), Path(options.path), options.name)
    return 0


WAL_ARCHIVE = Command(
    run=run,
    configure=configure,
    shared=configure_without_repository,
    examples="  archive_command = 'hostward backup wal archive /var/spool/hostward/shop %p %f'",
    notes="""\
It needs neither the repository nor a configuration, and may be run again for the same file. The file is durable when
it ends with 0; with any other code PostgreSQL keeps the file and tries again. A job with the table postgresql_wal
saves what waits.
exit codes: 0 done; 1 failed; 2 bad usage.""",
)
