"""The shapes that each log had before, by which it is known which are new.

One file for each log, in a folder that belongs to whoever analyses: root and the agent do not see the same lines, and
neither writes where the other can put links.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

import msgspec

from kit.files import write_durably

MOST = 20_000
"""Shapes of a log."""
KEPT = 30 * 86400.0
"""Seconds after which a shape that did not come again is new."""


class Known(msgspec.Struct):
    """Of one log, what came when."""

    since: float = 0.0
    """The time of the first line that was ever looked at; 0 where none was."""
    shapes: dict[int, tuple[float, float]] = {}
    """Digest of a shape to its first and its last time."""

    def reaches(self, moment: float) -> bool:
        """Whether it knows of lines before that time."""
        return 0 < self.since < moment

    def has(self, digest: int, moment: float) -> bool:
        """Whether a shape came before that time."""
        known = self.shapes.get(digest)
        return known is not None and known[0] < moment

    def add(self, digest: int, first: float, last: float) -> None:
        """A shape came in that time."""
        before, after = self.shapes.get(digest, (first, last))
        self.shapes[digest] = (min(before, first), max(after, last))

    def began(self, moment: float) -> None:
        """Lines were looked at from that time on."""
        if moment > 0:
            self.since = min(self.since, moment) if self.since else moment

    def settle(self, now: float) -> None:
        """Forget what did not come for long, and the oldest where there are too many."""
        recent: Iterable[tuple[int, tuple[float, float]]] = (
            item for item in self.shapes.items() if item[1][1] > now - KEPT
        )
        self.shapes = dict(sorted(recent, key=lambda item: (-item[1][1], item[0]))[:MOST])


def folder_in(state: Path) -> Path:
    """The folder of whoever asks, in a state folder that several users share: root and the agent's own."""
    return state / f"shapes-{os.geteuid()}"


def load(folder: Path, log: str) -> Known:
    """What is known of a log: nothing where that cannot be read."""
    with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError), _own(folder) as here:
        return msgspec.msgpack.decode(_file(here, log).read_bytes(), type=Known)
    return Known()


def save(folder: Path, log: str, known: Known) -> None:
    """Keep it. Raises OSError; PermissionError where the folder belongs to somebody else."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with _own(folder) as here:
        write_durably(_file(here, log), msgspec.msgpack.encode(known), mode=0o600)


@contextmanager
def _own(folder: Path) -> Iterator[Path]:
    """The folder, under a name that keeps meaning it: who owns the one above could put a link, or a folder with links
    and pipes in it, in its place at any moment. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(f"{folder} belongs to somebody else")
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _file(folder: Path, log: str) -> Path:
    return folder / f"{blake2b(os.fsencode(log), digest_size=8).hexdigest()}.known"
