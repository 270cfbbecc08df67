"""How PostgreSQL's own tools are told of a server: by libpq's environment variables.

The password is in a file in memory, which PGPASSFILE names: https://www.postgresql.org/docs/current/libpq-pgpass.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from agent import credentials
from agent.backups.programs import Output, path_of, secret_file
from agent.config.backup_sources.postgresql_connection import PostgresqlConnection

_CONNECT_TIMEOUT = "30"


class Reached:
    """A server that tools can be started for."""

    def __init__(self, options: PostgresqlConnection, password_file: int | None) -> None:
        self.user = options.run_as
        """As whom they run."""
        self.pass_fds = [] if password_file is None else [password_file]
        """What they inherit."""
        self._common = {
            "PGHOST": options.host,
            "PGPORT": str(options.port),
            "PGUSER": options.user,
            "PGSSLMODE": options.sslmode,
            "PGCONNECT_TIMEOUT": _CONNECT_TIMEOUT,
            "PGAPPNAME": "hostward",
        }
        if options.ca_file:
            self._common["PGSSLROOTCERT"] = options.ca_file
        if password_file is not None:
            self._common["PGPASSFILE"] = path_of(password_file)

    def environment(self, database: str) -> dict[str, str]:
        """For a tool. Among its words a name with a `=` would be read as a connection string."""
        return {**self._common, "PGDATABASE": database}

    def output(self, words: Sequence[str], database: str, *, heard: bool = True, given: bytes = b"") -> Output:
        """What a tool prints, which is to be in the snapshot. Raises CannotStartError and ProgramError."""
        return Output(
            words,
            environment=self.environment(database),
            given=given,
            pass_fds=self.pass_fds,
            user=self.user,
            heard=heard,
            then="no snapshot was made",
        )


@contextmanager
def reached(options: PostgresqlConnection) -> Iterator[Reached]:
    """The server that options name, as long as tools may be started. Raises SecretError."""
    password = credentials.read_secret(options.password_file) if options.password_file else ""
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    with secret_file(f"*:*:*:*:{escaped}\n", options.run_as) if password else nullcontext() as file:
        yield Reached(options, file)
