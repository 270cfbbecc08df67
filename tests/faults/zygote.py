"""A process that has loaded everything and forks a child for each call: a hundred deaths would else cost a hundred
starts of Python. It has one thread, so that a fork of it is sound.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, NoReturn


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
