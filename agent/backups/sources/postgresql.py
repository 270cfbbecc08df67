"""PostgreSQL: a dump for each database in pg_dump's custom format, uncompressed, and roles and tablespaces.

All databases are dumped as of one moment, as far as PostgreSQL knows one. A snapshot of transactions holds in one
database only, so a session for each is opened first; then all are told to take theirs and to export it, which is done
within milliseconds, and each dump is made of what its session holds: https://www.postgresql.org/docs/current/app-pgdump.html
(`--snapshot`). Roles and tablespaces are read while these sessions are held.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from agent.backups.programs import Output, becoming, home_of, read_all
from agent.backups.sources.contract import Contents, Run, SourceError, file_name
from agent.backups.sources.libpq import Reached, reached
from agent.backups.sources.patterns import chosen
from agent.config.backup_sources.postgresql import PostgresqlSource
from agent.jobs.limits import Limits
from agent.jobs.process import Child, start
from backup.archive.streams import Stream
from kit.terminal import bounded, clean

FOLDER = "/postgresql"
GLOBALS = f"{FOLDER}/globals.sql"
DUMP = ["pg_dump", "--format=custom", "--compress=0", "--no-password"]
_PSQL = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--no-password", "--set=ON_ERROR_STOP=1"]
# A name has no encoding: who may make databases may give one any bytes, and psql is to leave none out.
_BYTES = "SET client_encoding = 'SQL_ASCII'"
_LIST = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate"
_THEN = "no snapshot was made"
# A database may have limits for those that do nothing, which this session does on purpose.
_READY = (
    "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0; SET lock_timeout = 0;\n\\echo ready\n"
)
_TAKE = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SELECT pg_export_snapshot();\n"


@contextmanager
def opened(options: PostgresqlSource, run: Run) -> Iterator[Contents]:
    """List the databases, and hold a session in each where they are dumped together."""
    with reached(options) as server, ExitStack() as stack:
        with server.output(
            [*_PSQL, "--record-separator-zero", f"--command={_BYTES}", f"--command={_LIST}"],
            options.maintenance_database,
            heard=False,
        ) as output:
            listed = os.fsdecode(read_all(output)).rstrip("\n").split("\0")
        names = chosen(filter(None, listed), options.databases, options.exclude, what="database")
        if not names and not options.globals:
            raise SourceError(f"there is no database to dump; {_THEN}")
        held = _hold(server, names, stack) if options.together else {}
        streams = [
            Stream(f"{FOLDER}/{file_name(name)}.dump", partial(_dump, server, name, held.get(name))) for name in names
        ]
        if options.globals:
            streams.insert(0, Stream(GLOBALS, partial(_globals, server, options)))
        yield Contents(streams=tuple(streams), names=(FOLDER,))


class _Holder:
    """A transaction that psql keeps open in a database until this is closed, and the snapshot that it exported."""

    def __init__(self, server: Reached, name: str) -> None:
        """Start it. Raises CannotStartError."""
        self._name = name
        theirs, self._input = os.pipe()
        self._child: Child | None = None
        try:
            self._child = start(
                [*becoming(server.user), *_PSQL],
                limits=Limits(time=0),
                environment={**home_of(server.user), **server.environment(name)},
                given=theirs,
                pass_fds=server.pass_fds,
            )
        finally:
            os.close(theirs)
            if self._child is None:
                os.close(self._input)
        os.set_blocking(self._child.output, True)

    def ask(self, text: str) -> None:
        """Let it run something that prints a line."""
        try:
            os.write(self._input, text.encode())
        except BrokenPipeError:
            raise self._failure() from None

    def answer(self) -> str:
        """The line. Raises SourceError."""
        assert self._child is not None
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = os.read(self._child.output, 1)
            if not byte:
                raise self._failure()
            line += byte
        return line.decode().strip()

    def close(self) -> None:
        """End the transaction."""
        child, self._child = self._child, None
        if child is not None:
            os.close(self._input)
            child.signal_group(signal.SIGKILL)
            child.reap()

    def _failure(self) -> SourceError:
        assert self._child is not None
        os.set_blocking(self._child.error, True)
        said = os.read(self._child.error, 4096).decode(errors="replace").strip()
        why = bounded(clean(said.splitlines()[-1]), 300) if said else "psql ended"
        return SourceError(f"database {clean(self._name)} cannot be read: {why}; {_THEN}")


def _globals(server: Reached, options: PostgresqlSource) -> Output:
    """What belongs to no database."""
    words = ["pg_dumpall", "--globals-only", "--no-password", f"--database={options.maintenance_database}"]
    if not options.role_passwords:
        words.append("--no-role-passwords")
    return server.output(words, options.maintenance_database)


def _hold(server: Reached, names: Sequence[str], stack: ExitStack) -> dict[str, _Holder]:
    """Sessions in all of them, with transactions that began at one moment. Raises SourceError."""
    held = {}
    for name in names:
        held[name] = holder = _Holder(server, name)
        stack.callback(holder.close)
        holder.ask(_READY)
    for holder in held.values():
        holder.answer()
    for holder in held.values():
        holder.ask(_TAKE)
    return held


@contextmanager
def _dump(server: Reached, name: str, holder: _Holder | None) -> Iterator[Output]:
    """A database, as its session holds it."""
    snapshot = [f"--snapshot={holder.answer()}"] if holder is not None else []
    with server.output([*DUMP, *snapshot], name) as output:
        yield output
    if holder is not None:
        holder.close()
