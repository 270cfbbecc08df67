"""Functions for the fork server to run, each of which ends in its own way."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil


def echo(argument: bytes) -> bytes:
    return argument


def enlarge(argument: bytes) -> bytes:
    """As many bytes as `argument` says."""
    return b"x" * int(argument)


def fail(argument: bytes) -> bytes:
    raise ValueError(argument.decode())


def fail_silently(argument: bytes) -> bytes:
    raise LookupError


def fail_badly(argument: bytes) -> bytes:
    class NoTextError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    raise NoTextError


def leave(argument: bytes) -> bytes:
    sys.exit("enough")


def leave_at_once(argument: bytes) -> bytes:
    os._exit(int(argument))


def die(argument: bytes) -> bytes:
    os.kill(os.getpid(), int(argument))
    time.sleep(1000)
    return b""


def return_text(argument: bytes) -> str:
    return "text"


def fill_memory(argument: bytes) -> bytes:
    return bytes(len(bytearray(int(argument))))


def hang(argument: bytes) -> bytes:
    """Write the own pid and that of a grandchild, which hangs as well, to the file `argument`; mind no SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    grandchild = subprocess.Popen(["sleep", "1000"])
    file = Path(argument.decode())
    file.with_suffix(".new").write_text(f"{os.getpid()} {grandchild.pid}")
    file.with_suffix(".new").rename(file)
    time.sleep(1000)
    return b""


def nap(argument: bytes) -> bytes:
    time.sleep(float(argument))
    return b"rested"


def chatter(argument: bytes) -> bytes:
    """Print what nobody shall see."""
    print("secret " * 10_000)
    print("secret " * 10_000, file=sys.stderr)
    return b"quiet"


def describe(argument: bytes) -> bytes:
    """What surrounds a call."""
    return json.dumps(
        {
            "nice": os.nice(0),
            "ioclass": int(psutil.Process().ionice().ioclass),
            "memory": resource.getrlimit(resource.RLIMIT_AS)[0],
            "descriptors": [str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()],
            "environment": dict(os.environ),
            "group": os.getpgid(0) == os.getpid(),
            "session": os.getsid(0) == os.getsid(os.getppid()),
        }
    ).encode()
