"""Programs that take part in a rotation: scripts, compressors, shred, mail."""

from __future__ import annotations

import os

from agent.logs.rotate.apply import operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.logs.rotate.apply.su import Identity

_MOST_WORDS = 1 << 20
"""Bytes of a program's standard error that are kept."""


def run(
    program: str,
    arguments: list[str],
    *,
    standard: dict[int, int] | None = None,
    environment: dict[str, str] | None = None,
    identity: Identity | None = None,
) -> int:
    """Run a program to its end, as `start` does. Returns its exit status: 0 where it did well. Raises OSError."""
    return wait(start(program, arguments, standard=standard, environment=environment, identity=identity))


def start(
    program: str,
    arguments: list[str],
    *,
    standard: dict[int, int] | None = None,
    environment: dict[str, str] | None = None,
    identity: Identity | None = None,
) -> int:
    """Start a program, looked for on PATH where it has no folder. `standard` says which of our descriptors it has as
    which. With an `identity` that is another's it is that one's for good. Returns its process id. Raises OSError."""
    whole = {**os.environ, **(environment or {})}
    moves = list((standard or {}).items())
    if identity is None or identity.other is None:
        return operations.spawn(program, arguments, whole, moves)
    identity.announce()
    return operations.spawn_as(*identity.other, program, arguments, whole, moves)


def wait(process: int) -> int:
    """How it ended: an exit status, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def with_words(begin: Callable[[int], int]) -> tuple[int, bytes]:
    """Run what `begin` starts with the descriptor that it is given as standard error.

    Returns how it ended, and what it wrote there. Raises OSError.
    """
    ours, theirs = os.pipe()
    try:
        try:
            process = begin(theirs)
        finally:
            os.close(theirs)
        words = bytearray()
        while piece := os.read(ours, 65536):
            words += piece[: max(0, _MOST_WORDS - len(words))]
    finally:
        os.close(ours)
    return wait(process), bytes(words)
