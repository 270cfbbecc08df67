"""Whose configuration it is: what runs commands must be written by nobody but who may run them."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from kit.options.tree import Mistake, Place

MAX_LINKS = 40
"""Symbolic links on one path, as many as the kernel follows."""


def own_or_roots() -> frozenset[int]:
    """Whose files a command may take as its configuration: those of who runs it, and root's."""
    return frozenset({0, os.geteuid()})


def distrust(files: Iterable[Path], owners: frozenset[int]) -> list[Mistake]:
    """What is wrong with the rights of `files`, folders or files, and of every folder on the way to them.

    All of them must belong to one of `owners`, and nobody else may write to them. Links are followed one by one, and
    the folders in which they and their targets lie are judged too. Above the folder of the files one may be like
    /tmp, where only the owner can remove or rename what is in it. What is not there is nobody's. Since nobody but the
    owners can change any of it afterwards, what is read by name later is what was judged.
    """
    mistakes: dict[str, Mistake] = {}
    for file in files:
        for path, status, above in _way(file.absolute()):
            if text := _wrong(status, owners, above=above):
                mistakes.setdefault(str(path), Mistake(Place(str(path), 0), (), text))
                break
    return list(mistakes.values())


def _way(file: Path) -> Iterator[tuple[Path, os.stat_result, bool]]:
    """Every folder, link and file by which `file` is reached, from the root on; True where it is further up than the
    file's own folder."""
    waiting = list(reversed(file.parts[1:]))
    here, links = Path("/"), 0
    yield here, here.lstat(), len(waiting) > 1
    while waiting:
        part = waiting.pop()
        if part == "..":
            here = here.parent
            continue
        path = here / part
        try:
            status = path.lstat()
        except OSError:
            return  # Not there, or not to be looked at: reading it tells.
        if stat.S_ISLNK(status.st_mode):
            yield path, status, False
            links += 1
            if links > MAX_LINKS:
                return
            target = path.readlink()
            if target.is_absolute():
                here = Path("/")
            waiting += [part for part in reversed(target.parts) if part != "/"]
            continue
        here = path
        yield path, status, len(waiting) > 1


def _wrong(status: os.stat_result, owners: frozenset[int], *, above: bool) -> str | None:
    mode = status.st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
        return None  # /dev/null is a way to say "no configuration", and anybody may write to it
    if status.st_uid not in owners:
        expected = "root" if owners <= {0} else "root or to whoever runs this command"
        return f"belongs to {_user(status.st_uid)}; it must belong to {expected} (chown root)"
    if stat.S_ISLNK(mode) or (above and mode & stat.S_ISVTX):
        return None
    if mode & stat.S_ISVTX and mode & 0o022:
        return "others may write to it; put the configuration into a folder of its own"
    if mode & 0o002:
        return f"everybody may write to it (mode {stat.S_IMODE(mode):04o}); chmod go-w it"
    if mode & 0o020 and not _is_private(status, owners):
        return f"the group {_group(status.st_gid)} may write to it (mode {stat.S_IMODE(mode):04o}); chmod go-w it"
    return None


def _is_private(status: os.stat_result, owners: frozenset[int]) -> bool:
    """Whether the group is the owner's own: with such groups, people's files are group-writable."""
    if status.st_uid == 0 or status.st_uid not in owners:
        return False
    try:
        user, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return user.pw_gid == group.gr_gid and user.pw_name == group.gr_name and set(group.gr_mem) <= {user.pw_name}


def _user(number: int) -> str:
    try:
        return f"the user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
