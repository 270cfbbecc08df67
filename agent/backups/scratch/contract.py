"""What a scratch server is: an own instance of a database server, on a socket in a folder, without a network.

    with registry.opened("postgresql", folder, patience=60) as server:
        with open(dump, "rb") as file:
            server.load("/postgresql/shop.dump", file.fileno())
        rows = server.query("SELECT count(*) FROM orders", "shop")

The folder is for the server alone, and what it wrote there is removed with it, also where something failed. A server
that root starts runs as an unprivileged user, to whom the folder is given, and who must be able to enter those above
it. It dies with the process that started it. Nothing of it reaches the databases of the host.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from kit.errors import HostwardError

Rows = list[tuple[str, ...]]
"""What a query gave, without headings, each value as the server's own client prints it."""


class ScratchError(HostwardError):
    """The scratch server cannot be had, or refuses a dump or a query; the message says why."""


class Server(Protocol):
    """A server that runs."""

    def load(self, path: str, descriptor: int) -> None:
        """Load what a source saved at `path` in a snapshot, from an open file or a pipe, which is read to its end.

        What is for all databases (`globals.sql`, `users.sql`) comes first; without it everything belongs to the
        superuser. Redis and SQLite take one dump, and a later one in its place. Raises ScratchError.
        """

    def databases(self) -> list[str]:
        """The names of what was loaded."""

    def query(self, statement: str, database: str = "") -> Rows:
        """Run a statement: SQL, or a command of Redis. `database` may be empty where one was loaded, and for Redis.

        Raises ScratchError.
        """


OpenServer = Callable[[Path, float], AbstractContextManager[Server]]
"""From an empty folder with a path of 90 bytes at most (a socket lies in it), and the seconds that a start may take.

Raises ScratchError.
"""
