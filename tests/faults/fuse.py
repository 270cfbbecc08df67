"""A child of a zygote that dies by SIGKILL at a point that its caller names by its number: a point is just before and
just after each commit that any connection of the product makes."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite


class Fuse:
    """Counts points, and burns at one of them."""

    def __init__(self, burns_at: int) -> None:
        self._left = burns_at
        self._lock = threading.Lock()

    def point(self) -> None:
        """Nothing, or the end of this process."""
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()  # the signal may take a moment, and nothing must happen in it


def arm(burns_at: int) -> None:
    """Let this process die at that point, the first being 1. For 0 it lives."""
    fuse = Fuse(burns_at)

    class Connection(sqlite3.Connection):
        """The agent's."""

        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:  # type: ignore[override]
            if sql != "COMMIT":
                return super().execute(sql, *arguments)
            fuse.point()
            cursor = super().execute(sql, *arguments)
            fuse.point()
            return cursor

    connect = sqlite3.connect

    def agent_connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, **{"factory": Connection, **options})

    sqlite3.connect = agent_connect  # type: ignore[assignment]
    do_commit = SQLiteDialect_pysqlite.do_commit

    def home_commit(self: SQLiteDialect_pysqlite, connection: Any) -> None:
        writes = connection.in_transaction
        if writes:
            fuse.point()
        do_commit(self, connection)
        if writes:
            fuse.point()

    SQLiteDialect_pysqlite.do_commit = home_commit  # type: ignore[method-assign]
