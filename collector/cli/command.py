"""What a command is, and what several of them share."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from collector.store.database import Database, open_database
from kit.units import Duration

DATA_DIR = Path("/var/lib/hostward-collector")
DATABASE = "collector.db"


def _nothing(_parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


@dataclass(frozen=True, slots=True)
class Command:
    """`run` returns the exit code, and raises kit.errors.HostwardError for what the user should be told."""

    run: Callable[[argparse.Namespace], int]
    examples: str
    configure: Callable[[argparse.ArgumentParser], None] = _nothing


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
    database = open_database(options.data_dir / DATABASE)
    try:
        yield database
    finally:
        database.close()
