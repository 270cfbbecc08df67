"""Tells whoever writes logs that they were rotated: what the engine runs for `then` of a rule.

    python -m agent.cli.logs.notify reload UNIT | signal-unit SIGNAL UNIT | signal-process SIGNAL FILE

Who is not there needs not be told: that is no error. A process of its own, since the engine runs programs, waits for
them and marks what has run.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_WORDS = {"reload": 2, "signal-unit": 3, "signal-process": 3}


def main(words: Sequence[str]) -> int:
    """Do what the words say and return the exit code."""
    if len(words) != _WORDS.get(words[0] if words else ""):
        print("expected reload UNIT, signal-unit SIGNAL UNIT or signal-process SIGNAL FILE", file=sys.stderr)
        return 2
    try:
        if words[0] == "reload":
            return reload(words[1])
        if words[0] == "signal-unit":
            return signal_unit(words[1], words[2])
        return signal_process(signal.Signals[f"SIG{words[1]}"], words[2])
    except OSError as error:
        print(f"{error.filename or words[-1]}: {error.strerror}", file=sys.stderr)
        return 1


def reload(unit: str) -> int:
    """Reload a unit that is active."""
    return _run("systemctl", "reload", unit) if _is_active(unit) else 0


def signal_unit(name: str, unit: str) -> int:
    """Signal the main process of a unit that is active."""
    # --kill-whom is unknown before systemd 252, which took --kill-who on as another name of it.
    return _run("systemctl", "kill", "--kill-who=main", f"--signal={name}", unit) if _is_active(unit) else 0


def signal_process(number: signal.Signals, file: str) -> int:
    """Signal the process whose number stands in a file.

    Where the file is not root's its owner could name any process, and root would signal it: it has to be the owner's.
    Nor could root tell whose link led it to another file of its own. Raises OSError.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        owner = os.fstat(descriptor).st_uid
        text = os.read(descriptor, 64).strip()
    finally:
        os.close(descriptor)
    pid = int(text) if text.isdigit() and len(text) < 10 else 0
    if pid < 2:
        print(f"{file} holds no number of a process", file=sys.stderr)
        return 1
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return 0
    try:
        runs_as = Path("/proc", str(pid)).stat().st_uid
        if owner not in (0, os.geteuid(), runs_as):
            print(f"{file} belongs to user {owner}, but the process {pid} to user {runs_as}", file=sys.stderr)
            return 1
        signal.pidfd_send_signal(process, number)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    finally:
        os.close(process)
    return 0


def _is_active(unit: str) -> bool:
    return _run("systemctl", "is-active", "--quiet", unit) == 0


def _run(*argv: str) -> int:
    child = os.posix_spawnp(argv[0], argv, os.environ)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
