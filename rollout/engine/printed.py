"""What pyinfra logs goes to standard error, which is the wave's log, without secrets; and is told by host."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable

import pyinfra
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from kit.terminal import clean
from rollout.engine.masks import Masks

_TRACE = re.compile(r"^Traceback ")
_PREFIX = re.compile(r"^\[[^]]*\]\s*")

MOST = 32 << 20
"""Characters that one wave prints, one look at its hosts, or one dry run."""

Hearer = Callable[[Host, int, str], None]


class Printer(logging.Handler):
    """For pyinfra's logger. `hear` gets each line that is about a host, without its name before it."""

    def __init__(self, masks: Masks, hear: Hearer) -> None:
        super().__init__()
        self._masks = masks
        self._hear = hear
        self._room = MOST

    def emit(self, record: logging.LogRecord) -> None:
        """Print it, and tell of it."""
        text = self._masks.cover(record.getMessage())
        if self._room > 0:
            self._room -= len(text)
            print("\n".join(map(clean, text.split("\n"))), file=sys.stderr, flush=True)
            if self._room <= 0:
                print(
                    f"(after {MOST} characters the rest of what is printed is left out)", file=sys.stderr, flush=True
                )
        host = ctx_host.get()
        if host is not None and not _TRACE.match(text):
            self._hear(host, record.levelno, _PREFIX.sub("", text))


def print_with(masks: Masks, hear: Hearer) -> None:
    """From now on."""
    logger = pyinfra.logger
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers[:] = [Printer(masks, hear)]
