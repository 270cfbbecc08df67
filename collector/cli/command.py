"""What several commands share."""

from __future__ import annotations

import argparse
import datetime
import os
import pwd
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from collector import audit
from collector.store.database import Database, open_database, told
from collector.store.place import place_of
from kit.errors import HostwardError
from kit.units import Duration, format_roughly


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


def ago(then: float | None) -> str:
    """How long ago that was, for a column."""
    return "never" if then is None else f"{format_roughly(time.time() - then)} ago"


def note(connection: Connection, act: audit.Act, *, subject: str = "", detail: str = "") -> None:
    """Write to the audit log what this command does, by whom, in the transaction that does it."""
    audit.append(connection, act, actor=f"unix:{unix_user()}", subject=subject, detail=detail, now=time.time())


def unix_user() -> str:
    """Who runs this command, and where that is another one (sudo, su), who logged in: the kernel keeps that."""
    user = _user_name(os.getuid())
    try:
        login = int(Path("/proc/self/loginuid").read_text())
    except (OSError, ValueError):
        return user
    # 2^32 - 1 is "nobody logged in": started by cron, a service, a container.
    return user if login in (os.getuid(), 2**32 - 1) else f"{user}, logged in as {_user_name(login)}"


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[Database]:
    """The database of --data-dir, of this version. Raises HostwardError."""
    try:
        place = place_of(options.data_dir)
        database = open_database(place)
    except PermissionError as error:
        raise HostwardError(f"{options.data_dir} cannot be read: {error.strerror}; run as root") from error
    try:
        with told(place):
            yield database
    finally:
        database.close()
