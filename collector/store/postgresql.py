"""PostgreSQL as home's database.

Whoever writes takes one advisory lock first, so that transactions which look before they write come one after the
other, as they do in SQLite (https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS). Whoever
reads sees one moment. The password comes from the data folder with each new connection, never from a URL.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from sqlalchemy import URL, Connection, Engine, Text, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.compiler import compiles

from kit.errors import HostwardError, UsageError

WRITING, SERVING = 0x686F7374776172, 0x686F7374776173
"""The numbers of the advisory locks: of a transaction that writes, and of the one process that serves."""
LOCK_TIMEOUT = 15.0
"""Seconds that a transaction waits for another one, here or in another process, to end."""
CONNECT_TIMEOUT = 10
"""Seconds, for each address of a name."""
SCHEMES = ("postgresql", "postgres")
LOCAL = ("localhost", "127.0.0.1", "::1")
SECRET = ("password", "sslpassword")
"""Parameters that have no place in an address that is shown."""


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A database of a server, and the password of the role that it is entered as."""

    url: str
    """postgresql://ROLE@HOST:PORT/DATABASE?PARAMETERS, as libpq has it, without a password."""
    password: str = ""
    """Empty where the server asks for none, or libpq finds one itself (~/.pgpass)."""

    def __str__(self) -> str:
        url = make_url(self.url)
        return f"the database {url.database} of {_host(url) or 'this machine'}"

    def __repr__(self) -> str:
        return f"Server({self.url!r})"


def check_url(text: str) -> str:
    """The address, as it may be kept and shown. Raises UsageError."""
    wanted = "expected postgresql://ROLE@HOST/DATABASE"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # It is not shown: a password in it would be.
        raise UsageError(f"the address of the database is none: {wanted}; a port is a number") from None
    if url.password is not None or any(name in url.query for name in SECRET):
        raise UsageError(
            "a password in the address of a database is seen by everybody: leave it out, and give the file that "
            "holds it"
        )
    if url.drivername not in SCHEMES or not url.database:
        raise UsageError(f"{text}: {wanted}")
    return text


def make_engine(server: Server) -> Engine:
    """Connections to the server; none is made yet. Options are those of `sqlite.make_engine`.

    Raises HostwardError where the driver is not installed.
    """
    url = make_url(server.url).set(drivername="postgresql+psycopg")
    host = _host(url)
    if host and not host.startswith("/") and host not in LOCAL and "sslmode" not in url.query:
        # libpq would take any certificate, and no encryption at all.
        authority = {} if "sslrootcert" in url.query else {"sslrootcert": "system"}
        url = url.update_query_dict({"sslmode": "verify-full", **authority})
    try:
        engine = create_engine(
            url,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT,
                "application_name": "hostward-collector",
                "client_encoding": "utf8",
            },
        )
    except ModuleNotFoundError:
        raise HostwardError(
            "the driver of PostgreSQL is not installed: run `make install-collector EXTRAS=postgresql` in the "
            "checkout that home was installed from (the package's extra is hostward[postgresql])"
        ) from None

    @event.listens_for(engine, "do_connect")
    def _give_password(_dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]) -> None:
        # Not in the engine's URL, which SQLAlchemy may show.
        if server.password:
            parameters["password"] = server.password

    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


READING: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
"""Options of a transaction that sees one moment."""


class Guard:
    """The lock of the one process that serves a database. Not safe for threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._session: Connection | None = None

    def hold(self) -> bool:
        """Take the lock, or see to it that it is still held, for it is lost with its session.

        False where it is another's. Raises OperationalError where the server cannot be asked.
        """
        if self._session is not None:
            try:
                self._session.execute(text("SELECT 1"))
                return True
            except SQLAlchemyError:
                self.free()
        self._session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        held = self._session.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": SERVING}).scalar()
        if not held:
            self.free()
        return bool(held)

    def free(self) -> None:
        """Let another one serve."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(SQLAlchemyError):  # the server is away: then there is nothing to give back
                session.invalidate()  # the lock ends with its session
                session.close()


def _host(url: URL) -> str:
    given = url.host or url.query.get("host", "")
    return given if isinstance(given, str) else ", ".join(given)


def _on_connect(connection: Any, _entry: object) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise HostwardError(
            f"the database {connection.info.dbname} has the encoding {encoding}; expected UTF8: createdb "
            "--encoding=UTF8 --template=template0 makes one"
        )
    connection.autocommit = True
    # A server may be set up to acknowledge what it would lose in a power cut; home has said by then that it has it.
    connection.execute(
        f"SELECT set_config('lock_timeout', '{LOCK_TIMEOUT * 1000:.0f}ms', false), set_config('synchronous_commit', "
        "CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' "
        "ELSE current_setting('synchronous_commit') END, false)"
    )
    connection.autocommit = False


def _on_begin(connection: Connection) -> None:
    if connection.get_execution_options().get("hostward_writes"):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITING})")


@compiles(Text, "postgresql")
def _bytewise(_type: Text, _compiler: object, **_more: object) -> str:
    # Names are ordered as SQLite orders them, and a system's new rules of sorting break no index.
    return 'TEXT COLLATE "C"'
