"""What is kept of logs beside the state: a file of JSON. It is a help to people: when it is lost, it begins anew."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

import msgspec

from agent.logs.rules.growth import Look, looked, rotated
from kit.files import write_durably

NAME = "growth.json"


class Memory:
    """How each log was seen, by its path."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / NAME
        self._looks = _read(self._file)

    def look(self, log: str) -> Look | None:
        """How it was seen last."""
        return self._looks.get(log)

    def see(self, log: str, *, size: int, inode: int, at: float) -> Look:
        """Look at it before it may be rotated."""
        self._looks[log] = found = looked(self._looks.get(log), size=size, inode=inode, at=at)
        return found

    def see_again(self, log: str) -> None:
        """Look at it in the same moment, after it may have been rotated."""
        if (before := self._looks.get(log)) is not None:
            try:
                status = os.lstat(log)
            except OSError:
                self._looks[log] = rotated(before, size=0, inode=0)
            else:
                self._looks[log] = rotated(before, size=status.st_size, inode=status.st_ino)

    def keep(self, logs: Container[str]) -> None:
        """Write what is known of `logs`, and forget the others. Raises OSError."""
        self._looks = {log: look for log, look in self._looks.items() if log in logs}
        # Names of files are bytes, which JSON may have no text for.
        plain = {os.fsencode(log).hex(): look for log, look in self._looks.items()}
        write_durably(self._file, msgspec.json.encode(plain), mode=0o600)


def _read(file: Path) -> dict[str, Look]:
    try:
        plain = msgspec.json.decode(file.read_bytes(), type=dict[str, Look])
        return {os.fsdecode(bytes.fromhex(log)): look for log, look in plain.items()}
    except (OSError, ValueError):
        return {}
