"""What is asked of a host's PostgreSQL: as its superuser, by its socket."""

from __future__ import annotations

from shlex import quote

import msgspec
from pyinfra.api.host import Host

from deploys.kit.notes import Outcome
from deploys.operations.fail import StepError
from deploys.operations.run import run

_NAMES = "SELECT json_agg(datname) FROM pg_database"


class Server:
    """One server on a host. `user` is its superuser, also on the host."""

    def __init__(self, host: Host, user: str, port: int) -> None:
        self.host = host
        self.port = port
        self._as = f"runuser -u {quote(user)} --"

    def program(self, name: str, words: str = "") -> str:
        """A line for the shell that runs one of PostgreSQL's programs."""
        return f"{self._as} {name} --port={self.port} {words}"

    def databases(self, *, outcome: Outcome) -> list[str]:
        """The names of all. Raises StepError."""
        said = run(
            self.host,
            f"cd /; {self.program('psql', f'-XqAt --dbname=postgres --command={quote(_NAMES)}')}",
            failing="the databases here are not known",
            outcome=outcome,
        )
        try:
            return msgspec.json.decode(said, type=list[str])
        except msgspec.DecodeError as error:
            raise StepError(f"the databases here are not told as expected: {error}", outcome) from None

    def drop(self, name: str) -> str:
        """A line for the shell after which there is no such database."""
        return f"cd /; {self.program('dropdb', f'--if-exists -- {quote(name)}')}"

    def rename(self, name: str, new: str) -> str:
        """A line for the shell; it fails where there is one of the new name."""
        statement = f"ALTER DATABASE {_identifier(name)} RENAME TO {_identifier(new)}"
        return f"cd /; {self.program('psql', f'-Xq --dbname=postgres --command={quote(statement)}')}"


def _identifier(name: str) -> str:
    """As SQL has a name that may be anything (PostgreSQL's manual, 4.1.1)."""
    return '"' + name.replace('"', '""') + '"'
