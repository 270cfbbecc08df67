"""What home knows of a snapshot, and who said it: the pure ground of all rules.

A host that was taken over writes what it likes into a snapshot. What home saw itself is `host`, `received` and, for
what it could open, `bytes`, `files` and `changed`; the rest is the host's word, and no rule trusts it with the life
of another snapshot.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from backup.select.wal_names import MARK

FlagKind = Literal["time", "flood", "shrunken", "burst", "broken", "large"]
"""Why a snapshot is not taken for what it says it is."""


class Group(NamedTuple):
    """Snapshots that are of one thing: no rule weighs those of different groups against each other."""

    host: str
    """The id of the host that sent them, which home proved; '' where home did not see them come."""
    hostname: str = ""
    """What they say they were made on; '' where home cannot open them, as are the paths."""
    paths: tuple[str, ...] = ()


class Flag(msgspec.Struct, frozen=True):
    """What is odd about a snapshot. While it has one, it is not removed, and pushes no other out."""

    kind: FlagKind
    message: str
    """A sentence without its full stop."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One snapshot."""

    name: str
    """Of its file: 64 hexadecimal digits."""
    group: Group
    received: float
    """Seconds since the epoch, by home's clock."""
    claimed: float | None = None
    """When it says it was made; None where home cannot open it."""
    bytes: int | None = None
    """Of all its files, counted by home; None where home cannot look."""
    files: int | None = None
    changed: int | None = None
    """Bytes in it that no snapshot before it had; where home cannot look, bytes received since the one before."""
    tags: tuple[str, ...] = ()
    """What they are about WAL: select/wal_names.py. No other tag says anything here."""
    problem: str = ""
    """Why it cannot be restored, and never could; '' otherwise."""
    unmeasured: str = ""
    """Why home could not find out what is in it; '' otherwise."""
    flags: tuple[Flag, ...] = ()
    released: bool = False
    """An administrator said that its flags do not count."""

    @property
    def opened(self) -> bool:
        """Whether home could look into it, and not only at its file."""
        return self.claimed is not None or bool(self.problem or self.unmeasured)

    @property
    def flagged(self) -> bool:
        """Whether it is set apart."""
        return bool(self.flags) and not self.released

    @property
    def is_wal(self) -> bool:
        """Whether it is WAL of PostgreSQL, which no rule counts: what leads on from the base backups that stay."""
        return MARK in self.tags

    @property
    def broken(self) -> bool:
        """Whether it never could be restored."""
        return any(flag.kind == "broken" for flag in self.flags)
