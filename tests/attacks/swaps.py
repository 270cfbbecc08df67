"""What somebody does in a folder of logs who wants root to touch other files. Loaded by lives of rotation, too."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def plant(path: Path, kind: str, victim: Path) -> None:
    """Something that is no file of theirs."""
    if kind == "symlink":
        path.symlink_to(victim)
    elif kind == "dangling":
        path.symlink_to(victim.parent / "nowhere")
    elif kind == "hard link":
        path.hardlink_to(victim)
    elif kind == "FIFO":
        os.mkfifo(path, 0o666)
    elif kind == "folder":
        path.mkdir()
    else:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def swap(text: str) -> None:
    """Put a link, or another folder, in the place of what was looked at."""
    path, kind, victim = (Path(part) for part in text.split("|"))
    if str(kind) == "vanish":
        path.unlink(missing_ok=True)
        return
    if path.is_dir():
        path.rename(path.with_name("moved"))
        path.symlink_to(victim)
        return
    path.unlink(missing_ok=True)
    plant(path, str(kind), victim)
