"""Logging to standard error: short lines, with journald's levels (sd-daemon(3)) where journald reads them."""

from __future__ import annotations

import logging
import os
import sys
import time

LEVELS = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
REPEAT = 3600.0
"""Seconds before the same line is worth saying again."""
REMEMBERED = 256


def set_up() -> None:
    """Send the log of the whole process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Journal() if _is_journal() else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(Repeats())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class Repeats(logging.Filter):
    """Drops a warning or an error that was said within the last hour, but no event: each of those is news."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line goes out."""
        if record.levelno < logging.WARNING or hasattr(record, "event"):
            return True
        line, now = record.getMessage(), time.monotonic()
        if now - self._said.get(line, -REPEAT) < REPEAT:
            return False
        if len(self._said) >= REMEMBERED:
            self._said = {known: said for known, said in self._said.items() if now - said < REPEAT / 2}
            if len(self._said) >= REMEMBERED:
                self._said.clear()
        self._said[line] = now
        return True


class _Journal(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{LEVELS.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def _is_journal() -> bool:
    """JOURNAL_STREAM holds the device and inode of what systemd connected (systemd.exec(5))."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
