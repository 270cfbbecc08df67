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
from contextlib import contextmanager, suppress
from pathlib import Path

from collector import tls
from collector.cli.command import note
from collector.credentials import hash_password
from collector.store import accounts
from collector.store.database import open_database
from collector.store.place import CHOICE, SQLITE, Place, choose, place_of
from collector.store.postgresql import Server, check_url
from kit.commands import Command
from kit.credentials import read_secret
from kit.errors import HostwardError, UsageError
from kit.files import fsync_folder, own_as_folder

ADMINISTRATOR = "admin"
OWN = {
    tls.CA_KEY,
    tls.CA_CERTIFICATE,
    tls.SERVER,
    CHOICE,
    SQLITE,
    f"{SQLITE}-wal",
    f"{SQLITE}-shm",
    f"{SQLITE}-journal",
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
    database_options(parser)


def database_options(parser: argparse.ArgumentParser) -> None:
    """Where a database is that is not the SQLite file of the data folder."""
    parser.add_argument(
        "--database",
        metavar="URL",
        help="a database of PostgreSQL's that is there, postgresql://ROLE@HOST/DATABASE, instead of SQLite's file",
    )
    parser.add_argument(
        "--database-password-file",
        metavar="FILE",
        help="the file that holds the role's password, for nobody else to read; it is kept in the data folder",
    )


def given_server(options: argparse.Namespace) -> Server | None:
    """What these options say. Raises UsageError, SecretError."""
    file: str | None = options.database_password_file
    if options.database is None:
        if file is not None:
            raise UsageError("--database-password-file is for --database")
        return None
    url = check_url(options.database)
    return Server(url, "" if file is None else read_secret(str(Path(file).absolute())))


def _run(options: argparse.Namespace) -> int:
    folder: Path = options.data_dir
    given = given_server(options)
    now = datetime.datetime.now(datetime.UTC)
    made = _prepare(folder)
    with locked(folder):
        try:
            place = _place(folder, given)
        except BaseException:
            if made:
                with suppress(OSError):  # something came into it meanwhile
                    folder.rmdir()
            raise
        tls.create_authority(folder, now)
        tls.issue_server_certificate(folder, [*own_names(), *options.name], now)
        database = open_database(place, create=True)
        try:
            choose(folder, place)
            if isinstance(place, Path):
                place.chmod(0o600)
            fsync_folder(folder)
            password = secrets.token_urlsafe(15)
            hashed = hash_password(password)
            # The service may have been started before, and then systemd has given the folder to its user.
            for path in folder.iterdir():
                own_as_folder(path)
            with database.write() as connection:
                if accounts.accounts(connection):
                    raise _set_up(folder, place)
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


def _prepare(folder: Path) -> bool:
    """Whether there was no such folder.

    Raises UsageError for a folder that is something else's, HostwardError where it cannot be made.
    """
    made = not folder.exists()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        strange = sorted(path.name for path in folder.iterdir() if path.name not in OWN and not _is_left_over(path))
        if strange:
            raise UsageError(f"{folder} holds something else ({strange[0]}); give a folder that is new or empty")
        folder.chmod(0o700)
    except OSError as error:
        raise HostwardError(f"{folder} cannot be used as a data folder: {error.strerror}") from error
    return made


def _is_left_over(path: Path) -> bool:
    """A temp file of an `init` that was killed while it wrote."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def _place(folder: Path, given: Server | None) -> Place:
    """Where the database is to be: where an `init` that was killed began it, or as `given`.

    Raises UsageError where the collector is set up already, HostwardError.
    """
    chosen = place_of(folder)
    begun = isinstance(chosen, Server) or chosen.exists()
    if begun and given is not None and str(given) != str(chosen):
        raise UsageError(f"{folder} has its database already, which is {chosen}: leave --database out")
    if given is None and not begun:
        return chosen
    # An earlier `init` may have ended before its first table.
    place = given or chosen
    database = open_database(place, create=True)
    try:
        with database.read() as connection:
            if accounts.accounts(connection):
                raise _set_up(folder, place)
    finally:
        database.close()
    return place


def _set_up(folder: Path, place: Place) -> UsageError:
    known = isinstance(place, Path) or (folder / CHOICE).exists()
    what = str(folder) if known else f"{place}, which is another collector's,"
    advice = (
        f"If its password is lost, `hostward-collector user password --data-dir {folder} {ADMINISTRATOR}` sets "
        "another"
        if known
        else f"With a copy of that one's data folder as {folder}, it is served from here"
    )
    return UsageError(f"{what} is set up already. {advice}")


INIT = Command(
    run=_run,
    configure=_configure,
    examples="""\
  hostward-collector init
  hostward-collector init --name home.example.org --name 192.0.2.7
  hostward-collector init --database postgresql://hostward@127.0.0.1/hostward --database-password-file pg.password""",
)
