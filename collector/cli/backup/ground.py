"""What the commands about repositories at home share."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from collector.backups.keeping.keeper import Keeper
from collector.backups.keeping.target import Target, find, host_names, targets
from collector.backups.places import Places
from collector.backups.settings import BackupOptions
from collector.cli.command import json_option, opened, unix_user
from collector.settings import DEFAULT_FILE, load_settings
from collector.store.database import Database
from kit.errors import HostwardError
from kit.zones import zone_of

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Ground:
    """The database, what the configuration says, and who keeps."""

    database: Database
    options: BackupOptions
    keeper: Keeper

    def target(self, word: str) -> Target:
        """The repository that a word on the command line means. Raises HostwardError."""
        with self.database.read() as connection:
            return find(connection, self.options, word)

    def targets(self, word: str | None) -> list[Target]:
        """That one, or all of them. Raises HostwardError."""
        if word is not None:
            return [self.target(word)]
        with self.database.read() as connection:
            return targets(connection, self.options)

    def names(self) -> dict[str, str]:
        """The names of hosts by their ids."""
        with self.database.read() as connection:
            return host_names(connection)


def by() -> str:
    """Who runs this command, as the audit log has it."""
    return f"unix:{unix_user()}"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what all of the commands can be told."""
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"instead of {DEFAULT_FILE}")


def configure_choice(parser: argparse.ArgumentParser) -> None:
    """Add the repository, all of them by default, and --json."""
    configure(parser)
    json_option(parser)
    parser.add_argument(
        "repository", nargs="?", metavar="REPOSITORY", help="its name, or that of a host (all of them)"
    )


@contextmanager
def ground(options: argparse.Namespace) -> Iterator[Ground]:
    """Raises HostwardError where there is no collector, or where it keeps no repositories."""
    settings = load_settings(options.config)
    if settings.backups is None:
        raise HostwardError(
            f"home keeps no repositories: the table [backups] in {options.config or DEFAULT_FILE} begins that"
        )
    with opened(options) as database:

        async def write(function: Callable[[Connection], R]) -> R:
            def work() -> R:
                with database.write() as connection:
                    return function(connection)

            return await asyncio.to_thread(work)

        keeper = Keeper(
            database=database,
            write=write,
            places=Places(settings.backups, options.data_dir.absolute()),
            clock=time.time,
            zone=zone_of(""),
        )
        yield Ground(database, settings.backups, keeper)
