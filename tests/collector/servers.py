"""Databases of a real PostgreSQL server, as home has them: one server for a process of tests, a database for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from collector.store.database import open_database
from collector.store.postgresql import Server
from tests.agent.checks.daemons import Postgres, postgres

ROLE, PASSWORD = "hostward", "pg-secret"
TEMPLATE = "with_tables"


class Servers:
    """Makes databases, empty or with home's tables."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self._numbers = count()
        server.sql(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
        self._create(TEMPLATE, "template0")
        open_database(self._place(TEMPLATE), create=True).close()

    def new(self, *, empty: bool = False) -> Server:
        """Of nobody else."""
        name = f"home_{next(self._numbers)}"
        self._create(name, "template0" if empty else TEMPLATE)
        return self._place(name)

    def drop(self, place: Server) -> None:
        """With every session that is there."""
        self.server.sql(f"DROP DATABASE {place.url.rpartition('/')[2]} WITH (FORCE)")

    def _create(self, name: str, template: str) -> None:
        self.server.sql(f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template} STRATEGY FILE_COPY")

    def _place(self, name: str) -> Server:
        return Server(f"postgresql://{ROLE}@127.0.0.1:{self.server.port}/{name}", PASSWORD)


@contextmanager
def running() -> Iterator[Servers]:
    """A server, until the block ends."""
    with postgres("max_connections = 100") as server:
        yield Servers(server)
