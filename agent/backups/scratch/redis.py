"""A Redis or Valkey server to throw away, on a socket."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agent.backups.programs import first_of
from agent.backups.redis_lines import Lines, RedisError
from agent.backups.scratch.contract import Rows, ScratchError
from agent.backups.scratch.daemon import new_file, owned, running, unprivileged

_SERVERS = ("redis-server", "valkey-server")
_SETTINGS = ("--port", "0", "--save", "", "--appendonly", "no", "--dbfilename", "dump.rdb", "--daemonize", "no")
_DATABASE = re.compile(r"^db([0-9]+):", re.MULTILINE)


@contextmanager
def opened(folder: Path, patience: float) -> Iterator[_Redis]:
    """It is started when there is something to load."""
    program = first_of(*_SERVERS)
    if program is None:
        raise ScratchError("there is no Redis server on this host to try a dump in")
    user = unprivileged()
    with owned(folder, user), ExitStack() as stack:
        yield _Redis(program, folder, user, patience, stack)


class _Redis:
    """The server."""

    def __init__(self, program: str, folder: Path, user: str, patience: float, stack: ExitStack) -> None:
        self._program = program
        self._folder = folder
        self._user = user
        self._patience = patience
        self._running = stack.enter_context(ExitStack())

    def load(self, path: str, descriptor: int) -> None:
        """An RDB file, which the server reads at its start."""
        self._running.close()
        with (
            open(new_file(self._folder, "dump.rdb", self._user), "wb") as target,
            open(descriptor, "rb", closefd=False) as source,
        ):
            shutil.copyfileobj(source, target, 1 << 20)
        words = [self._program, "--dir", str(self._folder), "--unixsocket", str(self._folder / "socket"), *_SETTINGS]
        self._running.enter_context(
            running(words, self._folder, self._user, is_up=self._is_up, patience=self._patience, end=signal.SIGKILL)
        )

    def databases(self) -> list[str]:
        """Those that hold anything, by their numbers."""
        return _DATABASE.findall("".join(value for (value,) in self.query("INFO keyspace")))

    def query(self, statement: str, database: str = "") -> Rows:
        """A command, its words quoted as for a shell."""
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(self._patience)
                link.connect(os.fspath(self._folder / "socket"))
                lines = Lines(link)
                if database:
                    lines.say("SELECT", database)
                    lines.reply()
                lines.say(*shlex.split(statement))
                return [(value,) for value in lines.reply()]
        except (RedisError, OSError, ValueError) as error:
            raise ScratchError(f"scratch Redis: {error}") from None

    def _is_up(self) -> bool:
        """Whether it has loaded everything: until then it answers with an error."""
        try:
            return self.query("PING") == [("PONG",)]
        except ScratchError:
            return False
