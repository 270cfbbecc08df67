"""Runs a program for each line on standard input.

`hostward logrotate` runs in a fork, which costs less than a start of Python.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import agent.logs.rotate
from agent.cli.main import main

MOST = 16 << 20
"""Bytes of a file: a script may be anything, `yes` as well."""


def serve() -> None:
    """Until standard input ends: one JSON object a line; answers with the exit code, negative for a signal."""
    for name in ("LD_PRELOAD", "FAKETIME_SHARED"):  # what runs start has the real clock, under logrotate too
        os.environ.pop(name, None)
    forget(os.getpid())
    importlib.import_module("agent.cli.logrotate")
    for module in pkgutil.walk_packages(agent.logs.rotate.__path__, "agent.logs.rotate."):
        importlib.import_module(module.name)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            run(order)
        _, status = os.waitpid(child, 0)
        forget(child)
        print(os.waitstatus_to_exitcode(status), flush=True)


def forget(process: int) -> None:
    """Remove what libfaketime made for a process and does not always remove."""
    for name in (f"faketime_shm_{process}", f"sem.faketime_sem_{process}"):
        Path("/dev/shm", name).unlink(missing_ok=True)


def run(order: dict[str, Any]) -> None:
    """What the order says, in a process of its own. Does not return."""
    code = 1
    try:
        signal.alarm(order["patience"])
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST, MOST))
        nothing = os.open(os.devnull, os.O_RDONLY)
        output = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666) for path in order["output"]]
        for number, descriptor in enumerate((nothing, *output)):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(order["folder"])
        os.umask(order["umask"])
        os.environ.clear()
        os.environ.update(order["environment"])
        time.tzset()
        if order["user"] is not None:
            user, group = order["user"]
            os.setgroups([])
            os.setresgid(group, group, group)
            os.setresuid(user, user, user)
        if order["command"] is not None:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what is started would, too
            os.execv(order["command"][0], [*order["command"], *order["words"]])
        code = main(["logrotate", *order["words"]])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else ended.code is not None
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
