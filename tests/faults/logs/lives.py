"""What the children of a zygote do: short lives of `hostward logrotate`, each of which may meet a fault at any change
that it makes to the file system. A child that is killed is really killed: it leaves what a killed process leaves.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from agent.cli.main import main
from agent.logs.rotate import state
from agent.logs.rotate.apply import operations

BEFORE, WITHIN, AFTER = "killed before", "killed within", "killed after"
"""Faults besides the names of `errno`, with which the call fails and changes nothing."""
FULL = "full"
"""From that call on there is no room on the disk."""
NEED_ROOM = ("create", "write", "copy_range", "set_attribute", "state open", "state fsync")
PATIENCE = 60
"""Seconds after which a life ends that hangs."""
OF_STATE = ("open", "fchmod", "fchown", "fsync", "rename", "unlink")
MEANWHILE = "meanwhile "
"""Begins what somebody else does before the call, `module:function TEXT`; the call goes on."""


def live(words: list[str], said: str, now: float, fault: list[Any] | None) -> NoReturn:
    """`hostward logrotate WORDS…` at the time `now`; ends with its exit code.

    `fault` is the number of a call of `operations`, the first being 1, or the name of one, of which it is the first,
    and what happens at it. What is printed goes into the file `said`; the names of the calls, and of the files
    that were made, to one beside it, unless the process ends before.
    """
    signal.alarm(PATIENCE)
    output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    time.time = lambda: now
    calls: list[str] = []
    names: list[str] = []
    at, what = fault or (0, "")
    for name, operation in list(vars(operations).items()):
        if callable(operation) and getattr(operation, "__module__", "") == operations.__name__:
            setattr(operations, name, _counted(name, operation, calls, names, at, what))
    state.os = _CountedOS(calls, names, at, what)  # type: ignore[assignment, attr-defined]
    try:
        code = main(["logrotate", *words])
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    Path(f"{said}.json").write_text(json.dumps([calls, names]))
    os._exit(code)


class _CountedOS:
    """The module `os` as it is for the state file, which is written without `operations`."""

    def __init__(self, *counting: Any) -> None:
        self._counting = counting

    def __getattr__(self, name: str) -> Any:
        found = getattr(os, name)
        if name not in OF_STATE:
            return found
        counted = _counted(f"state {name}", found, *self._counting)
        if name == "open":  # those that only read change nothing
            return lambda path, flags, *rest: (counted if flags & os.O_CREAT else found)(path, flags, *rest)
        return counted


def _counted(
    name: str, operation: Callable[..., Any], calls: list[str], names: list[str], at: int | str, what: str
) -> Callable[..., Any]:
    def called(*arguments: Any, **named: Any) -> Any:
        calls.append(name)
        if name == "create":
            names.append(arguments[0])
        if what == FULL and isinstance(at, int):
            if len(calls) < at or name not in NEED_ROOM:
                return operation(*arguments, **named)
        elif at not in (len(calls), name) or (at == name and calls.count(name) > 1):
            return operation(*arguments, **named)
        if what == BEFORE:
            _die()
        if what == AFTER:
            operation(*arguments, **named)
            _die()
        if what == WITHIN:
            with suppress(OSError):  # what cannot be done at all is not done by half
                operation(*_halved(name, arguments), **named)
            _die()
        if what.startswith(MEANWHILE):
            place, _, text = what.removeprefix(MEANWHILE).partition(" ")
            module, _, function = place.partition(":")
            getattr(import_module(module), function)(text)
            return operation(*arguments, **named)
        number = getattr(errno, "ENOSPC" if what == FULL else what)
        raise OSError(number, os.strerror(number))

    return called


def _halved(name: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """What comes to half of the operation."""
    if name == "write":
        descriptor, data = arguments
        return descriptor, data[: len(data) // 2]
    source, target, _, offset = arguments
    return source, target, 100, offset


def _die() -> NoReturn:
    while True:
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()  # the signal may take a moment, and nothing must happen in it
