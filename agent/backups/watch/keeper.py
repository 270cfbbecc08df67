"""A watcher keeps for the next run what spares it deriving a password's key (repository/kept.py).

It is no secret without the password, which each run is told anew, and it is in the watcher's memory alone.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from agent.backups.watch.exchange import exchange
from agent.backups.watch.protocol import KeepKey, ProtocolError, WantKey, decode_key

PATIENCE = 0.1
"""Seconds, of the third of one that deriving the key takes: a watcher that begins anew answers nobody meanwhile."""


class Keeper:
    """A job's watcher as a KeyKeeper. Nothing fails for it: where it keeps nothing, the run does without."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where its socket is."""
        self._folder = folder

    def recall(self) -> bytes | None:
        """What a run before left; empty where there is nothing, None where nobody answers."""
        with suppress(OSError, ProtocolError):
            return decode_key(exchange(self._folder, WantKey(), PATIENCE))
        return None

    def keep(self, kept: bytes) -> None:
        """Leave it for the next run."""
        with suppress(OSError, ProtocolError):
            exchange(self._folder, KeepKey(kept=kept), PATIENCE)
