"""A PostgreSQL server to throw away: of the newest version that is installed, on a socket, without durability."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.backups.programs import ProgramError, collect
from agent.backups.scratch.contract import Rows, ScratchError
from agent.backups.scratch.daemon import owned, running, unprivileged
from agent.backups.sources.contract import database_name

_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
"""Where Debian and PostgreSQL's own packages for RHEL keep what is not on PATH."""
_ROLE = "postgres"
_MAX_SCRIPT = 64 << 20
"""Bytes of what pg_dumpall prints of roles and tablespaces: a hundred thousand and more."""
_SETTINGS = (
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=1GB",
    "autovacuum=off",
    "archive_mode=off",
    "log_min_messages=error",
)
_PSQL = ("--no-psqlrc", "--quiet", "--no-password")
_TABLESPACE = re.compile(rb"^(CREATE TABLESPACE .* LOCATION )'(?:[^']|'')*';$", re.MULTILINE)


@contextmanager
def opened(folder: Path, patience: float) -> Iterator[_Postgresql]:
    """Make a cluster, and start its server."""
    programs = _programs()
    user = unprivileged()
    data = folder / "data"
    with owned(folder, user):
        server = _Postgresql(programs, folder, user)
        server.run(
            [
                "initdb",
                f"--pgdata={data}",
                f"--username={_ROLE}",
                "--auth=trust",  # the socket is in a folder that nobody else may enter
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
            ]
        )
        settings = [f"--{setting.replace('_', '-')}" for setting in _SETTINGS]
        words = [str(programs / "postgres"), "-D", str(data), f"--unix-socket-directories={folder}", *settings]
        with running(words, folder, user, is_up=server.is_up, patience=patience, end=signal.SIGQUIT):
            yield server


class _Postgresql:
    """The server."""

    def __init__(self, programs: Path, folder: Path, user: str) -> None:
        self._programs = programs
        self._user = user
        self._has_roles = False
        self._loaded: list[str] = []
        self._environment = {"PGHOST": str(folder), "PGUSER": _ROLE, "PGCLIENTENCODING": "UTF8"}

    def load(self, path: str, descriptor: int) -> None:
        """A dump in pg_dump's custom format, or what pg_dumpall printed of roles and tablespaces."""
        if path.endswith(".sql"):
            with open(descriptor, "rb", closefd=False) as file:
                script = in_place(file.read(_MAX_SCRIPT + 1))
            if len(script) > _MAX_SCRIPT:
                raise ScratchError(f"{path}: has more than {_MAX_SCRIPT >> 20} MiB, so it is no list of roles")
            # What there is already, as the superuser, is no error here.
            self.run(["psql", *_PSQL, "--output=/dev/null"], database=_ROLE, given=script)
            self._has_roles = True
            return
        words = ["pg_restore", "--create", "--clean", "--if-exists", "--exit-on-error", "--no-subscriptions"]
        words += ["--no-tablespaces", "--no-password", "--dbname=template1"]
        if not self._has_roles:
            words += ["--no-owner", "--no-privileges"]
        self.run(words, given=descriptor)
        self._loaded.append(database_name(Path(path).stem))

    def databases(self) -> list[str]:
        """Those that were loaded."""
        return list(self._loaded)

    def query(self, statement: str, database: str = "") -> Rows:
        """SQL."""
        database = database or (self._loaded[0] if self._loaded else _ROLE)
        words = ["psql", *_PSQL, "--csv", "--tuples-only", "--set=ON_ERROR_STOP=1"]
        found = self.run(words, database=database, given=statement.encode())
        return [tuple(row) for row in csv.reader(io.StringIO(found.decode(), newline=""))]

    def is_up(self) -> bool:
        """Whether it takes connections."""
        try:
            self.run(["pg_isready", "--quiet", "--timeout=1"])
        except ScratchError:
            return False
        return True

    def run(self, words: list[str], *, database: str = "", given: bytes | int = b"") -> bytes:
        """What one of its tools prints. Raises ScratchError."""
        environment = {**self._environment, **({"PGDATABASE": database} if database else {})}
        program, *arguments = words
        try:
            return collect(
                [str(self._programs / program), *arguments], environment=environment, given=given, user=self._user
            )
        except ProgramError as error:
            raise ScratchError(f"scratch PostgreSQL: {error}") from None


def in_place(script: bytes) -> bytes:
    """The script of pg_dumpall, with tablespaces in the server's own folder: their real places are the host's.

    https://www.postgresql.org/docs/current/runtime-config-developer.html (`allow_in_place_tablespaces`)
    """
    return b"SET allow_in_place_tablespaces = on;\n" + _TABLESPACE.sub(rb"\1'';", script)


def _programs() -> Path:
    """The folder of the newest server's programs. Raises ScratchError."""
    found = [
        folder
        for pattern in _PLACES
        for folder in Path("/").glob(pattern[1:])
        if os.access(folder / "initdb", os.X_OK)
    ]
    if found:
        return max(found, key=lambda folder: [int(number) for number in re.findall(r"[0-9]+", str(folder))])
    if program := shutil.which("initdb"):
        return Path(program).parent
    raise ScratchError("there is no PostgreSQL server on this host to try a dump in: initdb cannot be found")
