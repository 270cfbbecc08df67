"""Removing a log so that nobody reads it from the disk: shred(1)."""

from __future__ import annotations

from agent.logs.rotate.apply import programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.logs.rotate.apply.su import Identity


def overwrite(descriptor: int, cycles: int, identity: Identity) -> bool:
    """Whether shred did well with the file that is open for writing. The name is the caller's to remove.

    Raises OSError where there is no shred.
    """
    count = ["-n", str(cycles)] if cycles else []
    return programs.run("shred", ["shred", *count, "-"], standard={1: descriptor}, identity=identity) == 0
