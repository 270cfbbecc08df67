"""What the engine asks of `hostward logs`: whether our checks have read a log; and how far compression is."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from agent.cli.backup.progress import Display
from agent.logs.followers import Followers
from agent.logs.rotate.hooks import Hooks
from kit.progress import Status


class Waiting(Hooks):
    """Leaves logs uncompressed that a `log` check has not read to their end, and shows the others on a terminal."""

    def __init__(self, agent: Path, *, now: float, quiet: bool) -> None:
        """`agent` is the folder of the agent's state. Close it by `close`."""
        self._followers = Followers(str(agent), now=now, say=self._say)
        self._display = Display(self.status, None) if sys.stderr.isatty() and not quiet else None
        self._compressed: tuple[str, int, int] = ("", 0, 0)
        self.left: list[str] = []
        """What was left uncompressed."""

    def may_compress(self, path: str, device: int, inode: int) -> bool:
        """Whether nobody reads it any more."""
        if not self._followers.may_compress(path, device, inode):
            self.left.append(path)
            return False
        self._compressed = (path, device, inode)
        # Not before: the followers' answer comes from a fork, which should have no thread beside it.
        if self._display is not None and not self._display.shown:
            self._display.start()
        return True

    def close(self) -> None:
        """Take the line of progress away."""
        if self._display is not None and self._display.shown:
            self._display.stop()

    def _say(self, text: str) -> None:
        if self._display is not None:
            self._display.clear()
        print(f"hostward: {text}", file=sys.stderr)

    def status(self) -> Status:
        """How far the log that is compressed was read: what its open file says, since the libraries do not."""
        path, device, inode = self._compressed
        with suppress(OSError):
            for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208  # numbers, not paths
                with suppress(OSError):
                    status = os.fstat(number)
                    if (status.st_dev, status.st_ino) == (device, inode):
                        return Status(os.lseek(number, 0, os.SEEK_CUR), status.st_size, "", path)
        return Status(0, None, "", path)
