"""`hostward-collector database`: where home's database is, a copy of it in a file, and back, and elsewhere."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection, text

from collector.cli.command import json_option, note, opened
from collector.cli.init import database_options, given_server, locked
from collector.store import accounts, hosts, schema
from collector.store.copying import copy_rows
from collector.store.database import Database, connect, open_database, told
from collector.store.place import SQLITE, Place, choose, place_of
from collector.store.postgresql import Server
from collector.store.tables import REVISION
from kit.commands import Command
from kit.errors import HostwardError, UsageError
from kit.files import fsync_folder, own_as_folder
from kit.terminal import table
from kit.units import format_size


def _show(options: argparse.Namespace) -> int:
    place = place_of(options.data_dir)
    with opened(options) as database, database.read() as connection:
        count = len(hosts.active_hosts(connection))
        size = sum(_files(place)) if isinstance(place, Path) else 0
        if not isinstance(place, Path):
            size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    kind = "SQLite" if isinstance(place, Path) else "PostgreSQL"
    where = str(place) if isinstance(place, Path) else place.url
    if options.json:
        print(json.dumps({"kind": kind, "place": where, "schema": REVISION, "hosts": count, "size": size}))
        return 0
    row = (kind, where, REVISION, str(count), format_size(size))
    print(table(("kind", "place", "schema", "hosts", "size"), [row]))
    return 0


def _files(file: Path) -> Iterator[int]:
    """The sizes of an SQLite database's files."""
    for path in (file, file.with_name(f"{file.name}-wal")):
        if path.exists():
            yield path.stat().st_size


def _configure_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE")


def _configure_save(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a new file; - is standard output")


def _save(options: argparse.Namespace) -> int:
    file: Path = options.file
    if str(file) == "-":
        if sys.stdout.isatty():
            raise UsageError("a database is nothing for a terminal: name a file, or send it into one")
        with TemporaryDirectory() as folder:
            made = Path(folder, SQLITE)
            _copy(options, made)
            with made.open("rb") as stream:
                shutil.copyfileobj(stream, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        return 0
    if file.exists():
        raise UsageError(f"{file} is there already")
    _copy(options, file)
    print(f"all that home knows is in {file}")
    return 0


def _copy(options: argparse.Namespace, file: Path) -> None:
    with opened(options) as database, database.read() as connection, _new_file(file) as made, made.write() as target:
        copy_rows(connection, target)


@contextmanager
def _new_file(file: Path) -> Iterator[Database]:
    """A database that is at its place when it is whole. Raises HostwardError where it cannot be written."""
    part = file.with_name(f".{file.name}.tmp")
    try:
        part.unlink(missing_ok=True)
        part.touch(0o600)
        with closing(open_database(part, create=True)) as made:
            yield made
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        part.rename(file)
        fsync_folder(file.parent)
    except OSError as error:
        raise HostwardError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        for left in (part, part.with_name(f"{part.name}-wal"), part.with_name(f"{part.name}-shm")):
            left.unlink(missing_ok=True)


def _configure_load(parser: argparse.ArgumentParser) -> None:
    _configure_file(parser)
    parser.add_argument("--replace", action="store_true", help="also where home knows something, which is forgotten")


def _load(options: argparse.Namespace) -> int:
    folder: Path = options.data_dir
    with locked(folder):
        place = place_of(folder)
        if isinstance(place, Path):
            raise UsageError(f"home's database is the file {place}: with home stopped, put the copy in its place")
        if not options.file.is_file():
            raise UsageError(f"{options.file} is not there; expected a file that `database save` wrote")
        with closing(open_database(options.file)) as source, source.read() as rows, told(place):
            _replace(rows, place, even_if_used=options.replace, detail=str(options.file))
    print(f"home knows what {options.file} says")
    return 0


def _replace(rows: Connection, place: Server, *, even_if_used: bool, detail: str) -> None:
    """Whatever version the tables are of: they go."""
    with closing(connect(place)) as database, database.serving(), database.write() as connection:
        empty = not schema.tables(connection)
        fresh = empty or (schema.revision(connection) == REVISION and not accounts.accounts(connection))
        if not fresh and not even_if_used:
            raise UsageError(f"{place} is in use; --replace forgets what it holds")
        schema.renew(connection)
        copy_rows(rows, connection)
        note(connection, "database.loaded", detail=detail)


def _move(options: argparse.Namespace) -> int:
    folder: Path = options.data_dir
    target: Place = given_server(options) or folder / SQLITE
    with locked(folder):
        place = place_of(folder)
        if str(place) == str(target):
            raise UsageError(f"home's database is there already: {place}")
        with opened(options) as database, database.serving(), database.read() as rows:
            if isinstance(target, Path):
                if target.exists():
                    raise UsageError(f"{target} is there already: remove it, or move it away first")
                with _new_file(target) as made, made.write() as connection:
                    copy_rows(rows, connection)
                    note(connection, "database.moved", detail=f"from {place}")
                own_as_folder(target)
            else:
                with closing(open_database(target, create=True)) as made, made.write() as connection:
                    if accounts.accounts(connection):
                        raise UsageError(
                            f"{target} holds what a collector knows; expected an empty database (dropdb, createdb)"
                        )
                    copy_rows(rows, connection)
                    note(connection, "database.moved", detail=f"from {place}")
            choose(folder, target)
    print(f"home's database is {target}; {place} is as it was, and is needed no more")
    return 0


SHOW = Command(
    run=_show,
    configure=json_option,
    examples="""\
  hostward-collector database show""",
)
SAVE = Command(
    run=_save,
    configure=_configure_save,
    examples="""\
  hostward-collector database save home.db
  hostward-collector database save - | zstd >home.db.zst""",
    notes="The file is SQLite's, whatever home has itself. Home may go on meanwhile.",
)
LOAD = Command(
    run=_load,
    configure=_configure_load,
    examples="""\
  hostward-collector database load home.db
  hostward-collector database load --replace home.db""",
    notes="For a database in PostgreSQL, while home is stopped.",
)
MOVE = Command(
    run=_move,
    configure=database_options,
    examples="""\
  hostward-collector database move --database postgresql://hostward@127.0.0.1/hostward --database-password-file pg.pw
  hostward-collector database move""",
    notes="While home is stopped. Without --database, into the SQLite file of the data folder. What was there stays.",
)
