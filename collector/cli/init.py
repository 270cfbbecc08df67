"""`hostward-collector init`: everything that a collector needs, made step by step so that a killed one can go on.

Until the administrator is there, which is the last step, the folder is half-made: the next `init` finishes it.
"""

from __future__ import annotations

import argparse
import datetime
import fcntl
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collector import tls
from collector.cli.command import DATABASE, note
from collector.credentials import hash_password
from collector.store import accounts
from collector.store.database import open_database
from kit.commands import Command
from kit.errors import HostwardError, UsageError
from kit.files import fsync_folder, own_as_folder

ADMINISTRATOR = "admin"
OWN = {
    tls.CA_KEY,
    tls.CA_CERTIFICATE,
    tls.SERVER,
    DATABASE,
    f"{DATABASE}-wal",
    f"{DATABASE}-shm",
    f"{DATABASE}-journal",
}
"""What may be in the folder: it gets a mode of its own, so it must not be anybody else's."""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="HOSTNAME",
        help="a name or address under which hosts reach this collector, besides this machine's own; may be repeated",
    )


def _run(options: argparse.Namespace) -> int:
    folder: Path = options.data_dir
    now = datetime.datetime.now(datetime.UTC)
    _prepare(folder)
    with locked(folder):
        database_file = folder / DATABASE
        if database_file.exists():
            _refuse_finished(folder)
        tls.create_authority(folder, now)
        tls.issue_server_certificate(folder, [*own_names(), *options.name], now)
        database = open_database(database_file, create=True)
        try:
            database_file.chmod(0o600)
            fsync_folder(folder)
            password = secrets.token_urlsafe(15)
            hashed = hash_password(password)
            # The service may have been started before, and then systemd has given the folder to its user.
            for path in folder.iterdir():
                own_as_folder(path)
            with database.write() as connection:
                accounts.add_account(connection, ADMINISTRATOR, hashed, "admin", time.time())
                note(connection, "collector.initialised", subject=f"user:{ADMINISTRATOR}")
        finally:
            database.close()
    print(f"certificate authority: {folder / tls.CA_CERTIFICATE}")
    print(f"login: {ADMINISTRATOR} {password}")
    return 0


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else initialises or serves `folder` meanwhile. Raises HostwardError where somebody does, or none can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise HostwardError(
            f"{folder} is not there; `hostward-collector init --data-dir {folder}` sets a collector up"
        ) from error
    except OSError as error:
        raise HostwardError(f"{folder} cannot be opened: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HostwardError(f"another hostward-collector is using {folder}") from None
        yield
    finally:
        os.close(descriptor)


def own_names() -> list[str]:
    """Under which this machine is reached by itself and, as far as it knows, by others."""
    name = socket.gethostname()
    return ["localhost", "127.0.0.1", "::1", *(found for found in (name, socket.getfqdn(name)) if _is_usable(found))]


def _is_usable(name: str) -> bool:
    try:
        tls.check_name(name)
    except UsageError:
        return False
    return True


def _prepare(folder: Path) -> None:
    """Raises UsageError for a folder that is something else's, HostwardError where it cannot be made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        strange = sorted(path.name for path in folder.iterdir() if path.name not in OWN and not _is_left_over(path))
        if strange:
            raise UsageError(f"{folder} holds something else ({strange[0]}); give a folder that is new or empty")
        folder.chmod(0o700)
    except OSError as error:
        raise HostwardError(f"{folder} cannot be used as a data folder: {error.strerror}") from error


def _is_left_over(path: Path) -> bool:
    """A temp file of an `init` that was killed while it wrote."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def _refuse_finished(folder: Path) -> None:
    # An earlier `init` may have ended before its first table.
    database = open_database(folder / DATABASE, create=True)
    try:
        with database.read() as connection:
            finished = bool(accounts.accounts(connection))
    finally:
        database.close()
    if finished:
        raise UsageError(
            f"{folder} is set up already. If its password is lost, "
            f"`hostward-collector user password --data-dir {folder} {ADMINISTRATOR}` sets another"
        )


INIT = Command(
    run=_run,
    configure=_configure,
    examples="""\
  hostward-collector init
  hostward-collector init --name home.example.org --name 192.0.2.7""",
)
