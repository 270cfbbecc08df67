"""What a test needs and a machine may lack: skipped with the reason, failed where HOSTWARD_REQUIRE_ALL is set."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

import pytest


def require(present: bool, what: str) -> None:
    """Skip the running test, naming `what` is missing; in CI, which sets HOSTWARD_REQUIRE_ALL=1, fail it."""
    if present:
        return
    if os.environ.get("HOSTWARD_REQUIRE_ALL") == "1":
        pytest.fail(f"HOSTWARD_REQUIRE_ALL is set, and this machine lacks {what}", pytrace=False)
    pytest.skip(f"this machine lacks {what}")


def require_program(name: str) -> Path:
    """The path of a program on PATH."""
    found = shutil.which(name)
    require(found is not None, f"the program {name} (make test installs it when run as root on Debian)")
    assert found is not None
    return Path(found)


def require_library(name: str) -> None:
    """A shared library, by the name under which programs look for it."""
    try:
        ctypes.CDLL(name)
    except OSError:
        require(False, f"the library {name} (make test installs it when run as root on Debian)")


def require_root() -> None:
    """Root, for what only root can set up (mounts, users, namespaces)."""
    require(os.geteuid() == 0, "root")
