"""Names of what is not whole yet, and the removal of what a restore that was killed left under one."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Container

_NAME = re.compile(rb"\.hostward-[0-9a-f]{8}-([1-9][0-9]{0,9})-[0-9]+\.tmp")


def temporary_name(token: str, number: int) -> bytes:
    """A name for an entry that this process puts together. `token`: eight hexadecimal digits of the restore's own."""
    return b".hostward-%s-%d-%d.tmp" % (token.encode(), os.getpid(), number)


def remove_leftovers(folder: int, expected: Container[bytes]) -> None:
    """Remove from an open folder regular files of such names, unless they are expected. Raises OSError.

    Those of a process that runs are left: it may be another restore. Where its number was given to another program
    since, they stay until a later restore.
    """
    for text in os.listdir(folder):
        name = os.fsencode(text)
        found = _NAME.fullmatch(name)
        if found is None or name in expected or _runs(int(found[1])):
            continue
        if stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=folder)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # somebody else's
    return True
