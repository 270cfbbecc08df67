"""Programs that the fleet is made with."""

from __future__ import annotations

import os
import subprocess


class FleetError(Exception):
    """The fleet cannot be built, started or removed; says what failed."""


class UnavailableError(FleetError):
    """This machine has not what hosts are made of: a kernel that allows it, or packages to install."""


def command(*words: str, input: str | None = None, timeout: float = 600) -> str:
    """What a program prints. Raises FleetError with what it complained about."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    try:
        done = subprocess.run(
            words,
            input=input,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env={**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FleetError(f"{words[0]}: {error}") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise FleetError(f"{' '.join(words)[:300]} ended with {done.returncode}: {said}")
    return done.stdout
