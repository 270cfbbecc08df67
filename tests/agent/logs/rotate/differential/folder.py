"""The folder of a case: made from its entries, and looked at after each run."""

from __future__ import annotations

import datetime
import grp
import gzip
import os
import pwd
import stat
import subprocess
import zlib
from contextlib import suppress
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.agent.logs.rotate.differential.case import FOLDER, Entry, Run

GZIP = b"\x1f\x8b"
LINE = "a line of a log that is not worth keeping\n"


def seconds(clock: datetime.datetime, timezone: str) -> int:
    """Since the epoch."""
    return int(clock.replace(tzinfo=ZoneInfo(timezone)).timestamp())


def prepare(folder: Path, named: str, run: Run, timezone: str) -> None:
    """Put a run's entries into the folder, which will be called `named` while the run sees it."""
    now = seconds(run.clock, timezone)
    for entry in run.entries:
        put(folder, named, entry, now)
    for entry in run.entries:  # later ones changed the times of earlier ones, of folders above all
        path = folder / entry.path
        if entry.kind in ("file", "folder") and path.exists() and not path.is_symlink():
            os.utime(path, (now - entry.age, now - entry.age))


def put(folder: Path, named: str, entry: Entry, now: int) -> None:
    """Put one entry into the folder."""
    path = folder / entry.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if not entry.append and entry.kind != "folder" and os.path.lexists(path):
        path.unlink()
    if entry.kind == "absent":
        return
    if entry.kind == "link":
        path.symlink_to(entry.to.replace(FOLDER, named))
    elif entry.kind == "hardlink":
        path.hardlink_to(folder / entry.to)
        return
    elif entry.kind == "fifo":
        os.mkfifo(path)
    elif entry.kind == "folder":
        path.mkdir(exist_ok=True)
    else:
        existed = path.exists()
        if existed and not path.is_file():
            return  # a run is to find a folder or a pipe where it expects a log
        with path.open("ab") as file:
            file.write(content(entry, named))
        if existed:
            return
    if entry.owner:
        user, group = entry.owner.split(":")
        os.chown(path, user_id(user), group_id(group), follow_symlinks=False)
    if entry.kind != "link":
        path.chmod(int(entry.mode or ("0755" if entry.kind == "folder" else "0644"), 8))
    if entry.acl:
        subprocess.run(["setfacl", "--modify", entry.acl, path], check=True)


def content(entry: Entry, named: str) -> bytes:
    """Of a file."""
    text = entry.text.replace(FOLDER, named)
    missing = max(0, entry.size - len(text))
    return (text + (LINE * (missing // len(LINE) + 1))[:missing]).encode()


def user_id(name: str) -> int:
    """Of a name or a number."""
    return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid


def group_id(name: str) -> int:
    """Of a name or a number."""
    return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid


def look(folder: Path, written: tuple[float, float], now: int) -> dict[str, str]:
    """Each path in the folder to what is to be seen of it.

    What was modified between the two times of `written`, by the clock of the file system, is given the time `now` of
    the simulated clock, so that the next run finds it as old as it is.
    """
    seen = {}
    for path in (folder, *folder.rglob("*")):
        seen[str(path.relative_to(folder))] = describe(path, written, now)
    return seen


def describe(path: Path, written: tuple[float, float], now: int) -> str:
    """Kind, mode, owner, time and content in one text."""
    found = path.lstat()
    described = f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid}"
    if stat.S_ISLNK(found.st_mode):
        return f"{described} -> {path.readlink()}"
    for name in os.listxattr(path):
        described += f", {name}: {os.getxattr(path, name).hex()}"
    if not stat.S_ISREG(found.st_mode):  # the times of folders tell of temporary names
        return described
    modified = int(found.st_mtime)
    if written[0] <= found.st_mtime <= written[1]:
        os.utime(path, (now, now))
        modified = now
    text = path.read_bytes()
    when = datetime.datetime.fromtimestamp(modified, datetime.UTC)
    return f"{described} {found.st_nlink} links, {when:%Y-%m-%d %H:%M:%S}Z, {shown(text)}"


def shown(text: bytes) -> str:
    """Content, in one line; what is compressed by what is in it, since gzip writes down the time."""
    if text.startswith(GZIP):
        with suppress(OSError, EOFError, zlib.error):
            return f"gzip of {shown(gzip.decompress(text))}"
    return f"{len(text)} bytes: {repr(text)[1:] if len(text) <= 4000 else f'{text[:40]!r}… ({hash(text):x})'}"
