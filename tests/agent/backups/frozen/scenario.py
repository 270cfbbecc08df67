"""What every system of snapshots must do, as a program: it needs mounts of its own, and dies at a point.

    python -m tests.agent.backups.frozen.scenario FOLDER[=BYTES]

prints what was seen, as a line of JSON. FOLDER is on a volume; with BYTES, the snapshot has room for so little, which
is not enough, and what is left of a dead run is there already.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from agent.backups.frozen.contract import FrozenError
from agent.backups.frozen.mounts import holding, parse
from agent.backups.frozen.registry import load, offered
from agent.backups.frozen.view import frozen
from backup.forked import die_with


def meanwhile(work: Callable[[], None]) -> Callable[[], None]:
    """Something that another process does, which is there already, when the result is called; it waits for that. It
    ends with this one, whose output it would hold open: a failure would show as a test that hangs."""
    go, done, parent = os.pipe(), os.pipe(), os.getpid()
    if not os.fork():
        die_with(parent)
        os.read(go[0], 1)
        work()
        os.write(done[1], b"x")
        os._exit(0)

    def begin() -> None:
        os.write(go[1], b"x")
        os.read(done[0], 1)

    return begin


def left(folder: Path) -> list[str]:
    """The snapshots of runs that there are of the folder's volume."""
    mounts = parse(Path("/proc/self/mountinfo").read_bytes())
    offer = offered(holding(mounts, os.fsencode(folder)), "auto")
    assert offer is not None
    return load(offer[0]).names(offer[1])


def main(folder: Path, size: int | None) -> dict[str, object]:
    told: list[str] = []
    path = [os.fsencode(folder)]
    seen: dict[str, object] = {"told": told}
    file, new = folder / "deep" / "file", folder / "new"
    file.parent.mkdir()
    file.write_text("before")
    if size is None and not (child := os.fork()):
        with frozen(path, "auto", tell=told.append):
            os.kill(os.getpid(), signal.SIGKILL)
    elif size is None:
        os.waitpid(child, 0)
    seen["left before"] = len(left(folder))

    def change() -> None:
        file.write_text("after")
        new.write_text("new")

    begin = meanwhile(change)
    overflow = meanwhile(lambda: fill(folder / "big", 4 * (size or 0)))
    inode = file.stat().st_ino
    with frozen(path, "auto", size=size, tell=told.append) as view:
        begin()
        seen["in the view"] = [file.read_text(), new.exists()]
        seen["same inode"] = file.stat().st_ino == inode
        try:
            (folder / "written").touch()
        except OSError:
            seen["read-only"] = True
        for each in view.snapshots:
            each.require_good()
        seen["kind"] = [each.kind for each in view.snapshots]
        overflow()
        try:
            for each in view.snapshots:
                each.require_good()
        except FrozenError as error:
            seen["full"] = str(error)
    seen["outside"] = [file.read_text(), new.exists()]
    seen["afterwards"] = left(folder)
    return seen


def fill(file: Path, size: int) -> None:
    """Change so much on the volume, durably."""
    with open(file, "wb") as out:
        out.write(os.urandom(size))
        out.flush()
        os.fsync(out.fileno())


if __name__ == "__main__":
    place, _, room = sys.argv[1].partition("=")
    print("SEEN", json.dumps(main(Path(place), int(room) if room else None)))
