"""`python -m tests.faults.shifted FILE WORDS…`: `hostward WORDS…`, with a wall clock that is wrong by what FILE says.

A file with a number of seconds, read each time. What else there is for clocks is real. (libfaketime does the same for
any program, and breaks waits of Python's.)
"""

from __future__ import annotations

import sys
import time
from pathlib import Path


def main(file: Path) -> int:
    """Set the clock, and go on as the program."""
    real = time.time
    time.time = lambda: real() + float(file.read_text() or 0)
    # After the clock is set: modules take it for a default of theirs.
    from agent.cli.main import main as program

    return program()


if __name__ == "__main__":
    del sys.argv[0]
    sys.exit(main(Path(sys.argv[0])))
