"""What stands around every command of backups: signals, core dumps, and errors as JSON where JSON was asked for."""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import signal
import sys
import threading
from types import FrameType

from agent.cli.backup.options import Environment
from agent.cli.backup.output import prepare
from kit.commands import INTERRUPTED, Command, print_exit_error
from kit.errors import HostwardError

_PR_SET_DUMPABLE = 4
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """SIGTERM or SIGHUP (see repository/locks.py): what is open is closed on the way out, as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def around(command: Command, options: argparse.Namespace) -> int:
    """Run a command. Its exit code is restic's where restic has one; 128 and the number after a signal."""
    dump_no_core()
    prepare()
    options.environment = Environment.taken()
    owner = os.getpid()
    hook, sys.unraisablehook = sys.unraisablehook, raise_again
    before = {number: signal.signal(number, _end) for number in _ENDING}
    try:
        if options.job is not None:
            # Most commands name no job, and the configuration takes as long to load as argparse.
            from agent.cli.backup.jobs import find_job, use_access

            use_access(options, options.job, find_job(options, options.job))
        return command.run(options)
    except Ended as end:
        _say_ended(options, end)
        return 128 + end.number
    except KeyboardInterrupt:
        _say_ended(options, "SIGINT")
        return INTERRUPTED
    except HostwardError as error:
        if not options.json:
            raise
        print_exit_error(str(error), error.exit_code)
        return error.exit_code
    finally:
        if os.getpid() == owner:
            sys.unraisablehook = hook
            for number, handler in before.items():
                signal.signal(number, handler)


def _say_ended(options: argparse.Namespace, cause: object) -> None:
    if not options.json:
        print(f"hostward: ended by {cause} before it was done", file=sys.stderr)


def _end(number: int, _frame: FrameType | None) -> None:
    # Once is enough; the next one ends what hangs while it cleans up.
    signal.signal(number, signal.SIG_DFL)
    raise Ended(number)


def raise_again(ignored: sys.UnraisableHookArgs) -> None:
    """Python ignores what is raised in a finalizer or a callback: a signal that came in one has to come again."""
    raised = ignored.exc_value
    if not isinstance(raised, KeyboardInterrupt):
        sys.__unraisablehook__(ignored)
        return
    number = signal.SIGINT
    if isinstance(raised, Ended):
        number = signal.Signals(raised.number)
        signal.signal(number, _end)
    # Not from here, where it would be ignored as well.
    threading.Timer(0.01, os.kill, (os.getpid(), number)).start()


def dump_no_core() -> None:
    """Let no core dump, and no other process of the user, see the keys that this one holds from now on."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    # A limit of 0 does not stop core dumps that the kernel pipes to a program (core(5)).
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
