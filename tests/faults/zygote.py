"""A process that has loaded everything and forks a child for each call: a hundred deaths would else cost a hundred
starts of Python. It has one thread, so that a fork of it is sound.

A child dies by SIGKILL at a point that its caller names by its number: a point is just before and just after each
commit that any connection of the product makes.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, NoReturn

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


class Zygote:
    """The process, as a test sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def begin(self, function: str, *arguments: object) -> int:
        """Run "module:function" in a child; its process id."""
        return self._ask("begin", [function, *arguments])

    def end(self, pid: int) -> int:
        """Wait for a child: its exit code, or the negative number of the signal that ended it."""
        return os.waitstatus_to_exitcode(self._ask("end", [pid]))

    def call(self, function: str, *arguments: object) -> int:
        """Both."""
        return self.end(self.begin(function, *arguments))

    def _ask(self, what: str, arguments: Sequence[object]) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([what, *arguments]), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


@contextmanager
def zygote(*modules: str) -> Iterator[Zygote]:
    """A zygote that has loaded `modules`. Its children do not outlive it."""
    command = [sys.executable, "-m", "tests.faults.zygote", *modules]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Zygote(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


def _main(modules: Sequence[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    children: set[int] = set()
    try:
        for line in sys.stdin:
            what, *arguments = json.loads(line)
            if what == "begin":
                pid = os.fork()
                if pid == 0:
                    _live(*arguments)
                children.add(pid)
                answer = pid
            else:
                _, answer = os.waitpid(arguments[0], 0)
                children.discard(arguments[0])
            print(answer, flush=True)
    finally:
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _live(function: str, *arguments: Any) -> NoReturn:
    code = 1
    try:
        # What a child prints is no answer of the zygote's.
        os.dup2(2, 1)
        null: IO[str] = open(os.devnull)  # noqa: SIM115 - until the end
        os.dup2(null.fileno(), 0)
        module, _, name = function.partition(":")
        getattr(importlib.import_module(module), name)(*arguments)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _main(sys.argv[1:])
