"""What several commands share."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Iterator
from contextlib import contextmanager

from collector.store.database import Database, open_database
from kit.errors import HostwardError
from kit.units import Duration

DATABASE = "collector.db"


def json_option(parser: argparse.ArgumentParser) -> None:
    """--json, where a script may read."""
    parser.add_argument("--json", action="store_true", help="for programs")


def duration(text: str) -> Duration:
    """For argparse, which shows what was expected."""
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'"{text}" is not {error}') from error


def moment(time: float | None) -> str:
    """In local time, for people."""
    if time is None:
        return "never"
    return datetime.datetime.fromtimestamp(time).astimezone().strftime("%Y-%m-%d %H:%M")


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[Database]:
    """The database in --data-dir, of this version. Raises HostwardError."""
    try:
        database = open_database(options.data_dir / DATABASE)
    except PermissionError as error:
        raise HostwardError(f"{options.data_dir} cannot be read: {error.strerror}; run as root") from error
    try:
        yield database
    finally:
        database.close()
