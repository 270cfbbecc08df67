"""A program that logs: it writes numbered lines until it is told to end, and opens its log anew at SIGHUP.

python writer.py LOG READY
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path


def main(log: str, ready: str) -> None:
    """Write until SIGTERM; then the number of lines goes into the file `ready`, which is there once it has begun."""
    ended = reopened = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True

    def reopen(*_: object) -> None:
        nonlocal reopened
        reopened = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, reopen)
    descriptor, number = opened(log), 0
    while not ended:
        if reopened:
            reopened = False
            os.close(descriptor)
            descriptor = opened(log)
        os.write(descriptor, b"line %06d\n" % number)
        number += 1
        if number == 1:
            publish(ready, "")
        if number % 10 == 0:
            time.sleep(0.0005)
    publish(ready, str(number))


def opened(log: str) -> int:
    """To append."""
    return os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)


def publish(path: str, text: str) -> None:
    """Put it there as a whole."""
    with open(f"{path}.new", "w") as file:
        file.write(text)
    Path(f"{path}.new").rename(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
