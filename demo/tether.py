"""Start a program that cannot outlive whoever started it: `python tether.py PARENT_PID PROGRAM ARGUMENTS…`.

The kernel sends the signal (prctl(2), PR_SET_PDEATHSIG), so that it holds even after a kill -9 of the parent.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def tether(parent: int, number: int) -> None:
    """Ask for signal `number` when `parent`, our parent, is gone; exit at once when it is gone already."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    tether(int(sys.argv[1]), signal.SIGKILL)
    os.execv(sys.argv[2], sys.argv[2:])  # nosec B606  # a program of this checkout
