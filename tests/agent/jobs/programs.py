"""Watching processes from outside, for the tests of those who start them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil


def is_alive(pid: int) -> bool:
    """Whether it runs: a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until it is so."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.01)


def descriptors() -> set[tuple[str, str]]:
    """The open descriptors of this process and what they are."""
    found = set()
    for file in Path("/proc/self/fd").iterdir():
        try:
            found.add((file.name, str(file.readlink())))
        except FileNotFoundError:
            continue  # That by which the folder was read.
    return found


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of its own that runs `code` with the checkout's modules; it inherits nothing but standard error."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=Path(__file__).resolve().parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
