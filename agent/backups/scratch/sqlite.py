"""A copy of a database of SQLite, to be opened by SQLite itself."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from agent.backups.scratch.contract import Rows, ScratchError
from agent.backups.scratch.daemon import owned

_STEPS = 100_000
"""Of SQLite's virtual machine, a millisecond or so, between two looks at the clock."""


@contextmanager
def opened(folder: Path, patience: float) -> Iterator[_Sqlite]:
    """Nothing runs: SQLite is a library."""
    with owned(folder, ""):
        yield _Sqlite(folder / "copy", patience)


class _Sqlite:
    """The file."""

    def __init__(self, file: Path, patience: float) -> None:
        self._file = file
        self._patience = patience
        self._loaded: list[str] = []

    def load(self, path: str, descriptor: int) -> None:
        """A database file, which is verified as `PRAGMA integrity_check` does."""
        self._loaded = []
        with open(descriptor, "rb", closefd=False) as source, open(self._file, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        if (said := self.query("PRAGMA integrity_check(1)")) != [("ok",)]:
            raise ScratchError(f"{path} is damaged: {said[0][0] if said else 'it cannot be verified'}")
        self._loaded = [path]

    def databases(self) -> list[str]:
        """The path of what was loaded."""
        return list(self._loaded)

    def query(self, statement: str, database: str = "") -> Rows:
        """SQL; nothing at all stands for NULL. The database is not trusted: its views run what is harmless, and only
        as long as there is patience.
        """
        deadline = time.monotonic() + self._patience
        try:
            with closing(sqlite3.connect(self._file, timeout=self._patience, isolation_level=None)) as connection:
                connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
                connection.execute("PRAGMA trusted_schema = OFF")
                return [
                    tuple("" if value is None else str(value) for value in row)
                    for row in connection.execute(statement)
                ]
        except sqlite3.Error as error:
            late = time.monotonic() > deadline
            why = f"no answer within {self._patience:g} s" if late else str(error)
            raise ScratchError(f"scratch SQLite: {why}") from None
