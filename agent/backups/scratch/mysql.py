"""A MySQL or MariaDB server to throw away: what is installed, on a socket, without durability."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.backups.programs import ProgramError, collect, first_of
from agent.backups.scratch.contract import Rows, ScratchError
from agent.backups.scratch.daemon import owned, running, unprivileged
from agent.backups.sources.contract import database_name

_INSTALLERS = ("mariadb-install-db", "mysql_install_db")
"""MariaDB's; MySQL's server installs itself."""
_SERVERS = (
    "mariadbd",
    "mysqld",
    "/usr/sbin/mariadbd",
    "/usr/sbin/mysqld",
    "/usr/libexec/mariadbd",
    "/usr/libexec/mysqld",
)
_CLIENTS = ("mariadb", "mysql")
_SETTINGS = (
    "--skip-networking",
    "--skip-log-bin",
    "--event-scheduler=OFF",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=OFF",
    "--max-allowed-packet=1G",
    "--skip-name-resolve",
)
_ACCOUNT = "'hostward-scratch'@'localhost'"
_ESCAPED = re.compile(r"\\([0nt\\])")
_ESCAPES = {"0": "\0", "n": "\n", "t": "\t", "\\": "\\"}


@contextmanager
def opened(folder: Path, patience: float) -> Iterator[_Mysql]:
    """Make the server's own tables, and start it."""
    program, client = first_of(*_SERVERS), first_of(*_CLIENTS)
    if program is None or client is None:
        raise ScratchError("there is no MySQL or MariaDB server on this host to try a dump in")
    user = unprivileged()
    data = f"--datadir={folder / 'data'}"
    with owned(folder, user):
        server = _Mysql(client, folder / "socket", user)
        if installer := first_of(*_INSTALLERS):
            words = [installer, "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]
        else:
            words = [program, "--no-defaults", "--initialize-insecure"]
        server.run([*words, data])
        words = [program, "--no-defaults", data, f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}"]
        with running([*words, *_SETTINGS], folder, user, is_up=server.is_up, patience=patience, end=signal.SIGKILL):
            server.become_another()
            yield server


class _Mysql:
    """The server."""

    def __init__(self, client: str, socket: Path, user: str) -> None:
        self._words = [
            client,
            "--no-defaults",
            f"--socket={socket}",
            "--user=root",
            "--default-character-set=utf8mb4",
        ]
        self._words.append("--max-allowed-packet=1G")
        self._user = user
        self._loaded: list[str] = []

    def become_another(self) -> None:
        """Be an account that no dump has: what is loaded may give root a password."""
        self.query(f"CREATE USER {_ACCOUNT}; GRANT ALL PRIVILEGES ON *.* TO {_ACCOUNT} WITH GRANT OPTION;")
        self._words[-1] = "--user=hostward-scratch"

    def load(self, path: str, descriptor: int) -> None:
        """The script of a dump, or of the accounts."""
        if Path(path).name == "users.sql":
            # What only the host's own root may grant, as being its proxy, is not needed to ask for anything.
            self.run([*self._words, "--batch", "--force"], given=descriptor)
        else:
            self.run([*self._words, "--batch"], given=descriptor)
            self._loaded.append(database_name(Path(path).stem))

    def databases(self) -> list[str]:
        """Those that were loaded."""
        return list(self._loaded)

    def query(self, statement: str, database: str = "") -> Rows:
        """SQL. NULL is the word."""
        database = database or next(iter(self._loaded), "")
        words = [*self._words, "--batch", "--skip-column-names", *([f"--database={database}"] if database else [])]
        found = self.run(words, given=statement.encode()).decode()
        return [tuple(map(_unescaped, line.split("\t"))) for line in found.split("\n")[:-1]]

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            self.query("SELECT 1")
        except ScratchError:
            return False
        return True

    def run(self, words: list[str], *, given: bytes | int = b"") -> bytes:
        """What a program prints. Raises ScratchError."""
        try:
            return collect(words, given=given, user=self._user)
        except ProgramError as error:
            raise ScratchError(f"scratch MySQL or MariaDB: {error}") from None


def _unescaped(value: str) -> str:
    return _ESCAPED.sub(lambda match: _ESCAPES[match[1]], value)
