"""What the processes have in common that work on repositories for home: how they are started, bound and ended."""

from __future__ import annotations

import os
import resource
import sys
import threading
from typing import TypeVar

import msgspec

from backup.forked import die_with
from collector.backups.keeping.messages import Limits

T = TypeVar("T")

_PARENT = "HOSTWARD_PARENT"
"""The environment variable with the process that started this one."""
_PASSED_ON = ("PATH", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR")
"""Of the environment: nothing in it is a secret."""


def environment() -> dict[str, str]:
    """What such a process is started with."""
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        _PARENT: str(os.getpid()),
        # Each thread would else take 64 MiB of addresses, which are limited.
        "MALLOC_ARENA_MAX": "2",
    }


def receive(kind: type[T]) -> T:
    """The order, which is the first line of standard input. From now on this process ends with the one that started
    it, and at the end of its input.
    """
    die_with(int(os.environ[_PARENT]))
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=kind)
    threading.Thread(target=_end_with_input, name="input", daemon=True).start()
    return order


def limit(limits: Limits) -> None:
    """Take no more than that from now on, and leave no core behind, which would hold passwords."""
    os.nice(limits.nice)
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(1)
