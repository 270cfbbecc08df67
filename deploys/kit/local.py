"""Programs on the administrator's own machine. The only user of `subprocess` among the deploys."""

from __future__ import annotations

import subprocess  # noqa: TID251 -- the banned import's one place in this room
from collections.abc import Mapping, Sequence


class LocalError(Exception):
    """A program on this machine failed; the text says which, and what it complained about."""


def output(
    words: Sequence[str], *, input: bytes = b"", timeout: float = 600.0, environment: Mapping[str, str] | None = None
) -> bytes:
    """What a program prints. `timeout` is in seconds. Raises LocalError."""
    name = words[0]
    try:
        done = subprocess.run(  # noqa: S603 -- a list of words, no shell
            list(words),
            input=input,
            capture_output=True,
            timeout=timeout,
            env=None if environment is None else dict(environment),
            check=False,
        )
    except FileNotFoundError:
        raise LocalError(f"{name} is not installed here") from None
    except subprocess.TimeoutExpired:
        raise LocalError(f"{name} did not end within {timeout:.0f} s") from None
    except OSError as error:
        raise LocalError(f"{name}: {error.strerror}") from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise LocalError(f"{name} ended with {done.returncode}: {lines[-1] if lines else 'it did not say why'}")
    return done.stdout
