"""`hostward-collector backup lost`: say that what a repository held is gone for good."""

from __future__ import annotations

import argparse
import time

from collector import audit
from collector.backups import records
from collector.cli.backup.ground import by, configure, ground
from kit.commands import Command
from kit.errors import HostwardError
from kit.terminal import clean
from kit.units import format_size


def _configure(parser: argparse.ArgumentParser) -> None:
    configure(parser)
    parser.add_argument("repository", metavar="REPOSITORY", help="its name, or that of a host")


def _run(options: argparse.Namespace) -> int:
    with ground(options) as home:
        target = home.target(options.repository)
        places = home.keeper.places
        if places.is_there(target.name):
            raise HostwardError(
                f"{places.location(target.name)} holds the repository of {clean(target.title)}; nothing was changed"
            )
        with home.database.write() as connection:
            known = records.repository(connection, target.name)
            assert known is not None, "a target is one that is known"
            records.remove_repository(connection, target.name)
            what = f"{known.files:,} files, {format_size(known.used)}"
            audit.append(
                connection,
                "backup.lost",
                actor=by(),
                subject=f"repository:{target.name}",
                detail=what,
                now=time.time(),
            )
    print(f"{clean(target.title)}: home forgets what it received ({what}); the next backup may begin anew.")
    return 0


LOST = Command(
    run=_run,
    configure=_configure,
    examples="  hostward-collector backup lost web1",
    notes="""\
Home begins no repository anew where it received one before: a disk that is not mounted looks just like that. Mount
it if there is one. When the data is gone, this lets `hostward backup init` make the repository again.
A repository that is still in its place is left alone.
exit codes: 0 done; 1 the repository is there, or its place cannot be asked; 2 bad usage or configuration.""",
)
