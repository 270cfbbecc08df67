"""What a system of snapshots is. Its module has the functions of `System`; `registry.py` names them, by text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.backups.frozen.mounts import Mounted
from kit.errors import HostwardError


class FrozenError(HostwardError):
    """A snapshot cannot be had, or is not good any more, so nothing is saved; the message says why."""


@dataclass(frozen=True, slots=True)
class Volume:
    """What a snapshot is made of: a logical volume, a subvolume, a data set."""

    place: str
    """As the system's tools name it."""
    mounted: Mounted
    """Where it is seen, or one of these places."""
    inner: str = ""
    """The folder of it that is seen there; empty for all of it."""
    is_thin: bool = False
    """Whether its snapshots take their room from a pool, and not from what is set aside for them (LVM)."""


class System(Protocol):
    """The functions of a module. Each raises FrozenError, or what the system's tools fail with (ProgramError)."""

    def volume(self, mounted: Mounted) -> Volume | None:
        """The volume that is mounted there; None where this system does not make snapshots of it."""

    def nested(self, mounted: Mounted) -> list[Mounted]:
        """The volumes of its own that are seen as folders below the mount of one, as if they were mounted there."""

    def freeze(self, volumes: Sequence[Volume], names: Sequence[str], size: int | None) -> None:
        """Make a snapshot of each, as of one moment where the system can. `size`: bytes that may change meanwhile.

        What was made of it when it fails is removed by the caller.
        """

    def show(self, volume: Volume, name: str, folder: Path) -> Path:
        """Make the snapshot visible, in the empty `folder` where the system needs one; where all of it is."""

    def require_good(self, volume: Volume, name: str) -> None:
        """Raises FrozenError where the snapshot does not hold any more what it held."""

    def names(self, volume: Volume) -> list[str]:
        """The names of all snapshots of the volume that a run may have made."""

    def remove(self, volume: Volume, name: str) -> None:
        """Remove a snapshot that nobody looks into."""
