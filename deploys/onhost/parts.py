"""Files, links, the agent's database and programs, for what runs on hosts."""

from __future__ import annotations

import base64
import contextlib
import errno
import grp
import os
import pwd
import shutil
import sqlite3
import stat
import subprocess  # noqa: TID251 -- this runs on hosts, beside nothing else of ours
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

KEPT = 2
"""Releases that stay, with the one in use."""


class ApplyError(Exception):
    """It cannot be as it was to be; the text is one sentence."""


def kept(path: str, *, links: bool = True) -> dict[str, Any]:
    """A file as it is, so that `put` makes it again. Raises ApplyError, for a link too where there shall be none."""
    try:
        stream = opened(Path(path), links=links)
    except FileNotFoundError:
        return {"path": path, "text": None, "mode": "", "owner": ""}
    with stream:
        status = os.fstat(stream.fileno())
        text = base64.b64encode(stream.read()).decode()
    return {"path": path, "base64": text, "mode": f"{status.st_mode & 0o7777:o}", "owner": owner(status)}


def opened(place: Path, *, links: bool) -> BinaryIO:
    """A regular file, for reading. Whose folder it lies in may put a link to another's there, and change it at any
    moment: what is asked of it is asked of what is open. `links` is for root's folders.

    Raises FileNotFoundError, ApplyError.
    """
    follow = 0 if links else os.O_NOFOLLOW
    try:
        descriptor = os.open(place, os.O_RDONLY | follow | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ApplyError(f"{place} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ApplyError(f"{place} is no regular file")
    return open(descriptor, "rb")


def copy(source: Path, target: Path) -> None:
    """A file with its mode and owner, whole or not at all; nothing where there is none. Raises ApplyError."""
    try:
        stream = opened(source, links=False)
    except FileNotFoundError:
        return
    beside = target.with_name(f".{target.name}.hostward")
    beside.unlink(missing_ok=True)
    with stream:
        status = os.fstat(stream.fileno())
        try:
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as made:
                shutil.copyfileobj(stream, made, 1 << 20)
                made.flush()
                os.fchown(made.fileno(), status.st_uid, status.st_gid)
                os.fchmod(made.fileno(), status.st_mode & 0o777)
                os.fsync(made.fileno())
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


def owner(status: os.stat_result) -> str:
    """`user:group`, or numbers where they have no names."""
    return f"{status.st_uid}:{status.st_gid}"


def put(file: dict[str, Any]) -> None:
    """A file into its place, or away."""
    place = Path(file["path"])
    if "base64" in file:
        data = base64.b64decode(file["base64"])
    elif file["text"] is None:
        place.unlink(missing_ok=True)
        return
    else:
        data = file["text"].encode()
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write(place, data, int(file["mode"], 8), file["owner"])


def write(place: Path, data: bytes | str, mode: int, owner: str = "root:root") -> None:
    """Whole or not at all: beside it, on the disk, and then into its place."""
    beside = place.with_name(f".{place.name}.hostward")
    beside.unlink(missing_ok=True)
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as stream:
            stream.write(data.encode() if isinstance(data, str) else data)
            stream.flush()
            user, _, group = owner.partition(":")
            os.fchown(stream.fileno(), number(user, pwd.getpwnam), number(group, grp.getgrnam))
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)
    sync(place.parent)


def number(name: str, find: Callable[[str], Any]) -> int:
    """A user's or a group's. Raises ApplyError."""
    try:
        return int(name) if name.isdigit() else int(find(name)[2])
    except KeyError:
        raise ApplyError(f"there is no user or group {name}") from None


def link(place: Path, target: str) -> None:
    """A link that is there at every moment."""
    beside = place.with_name(f".{place.name}.hostward")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(place)
    sync(place.parent)


def target_of(place: Path) -> str | None:
    """Where a link leads; None where there is none."""
    return str(place.readlink()) if place.is_symlink() else None


def sync(folder: Path) -> None:
    """Have on the disk what is in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def schema_of(database: Path) -> int:
    """Which schema the agent's state has."""
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def copy_state(source: Path, target: Path) -> None:
    """The agent's database, which nobody has open."""
    target.mkdir(mode=0o700, exist_ok=True)
    for suffix in ("-wal", "-shm"):
        (target / f"agent.db{suffix}").unlink(missing_ok=True)
    for suffix in ("", "-wal"):
        copy(source / f"agent.db{suffix}", target / f"agent.db{suffix}")


def has_user(name: str) -> bool:
    """Whether there is such a user."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def run(words: list[str], failed: list[str] | None = None, input: str = "", timeout: int = 120) -> str:
    """What a program prints, within so many seconds. Raises ApplyError, or adds to `failed` where it is given."""
    try:
        said = subprocess.run(  # noqa: S603 -- a list of words, no shell
            words, input=input, capture_output=True, text=True, errors="replace", timeout=timeout
        )
        lines = said.stderr.strip().splitlines()
        why = (
            None
            if said.returncode == 0
            else "; ".join(line.strip() for line in lines[-20:])
            if lines
            else f"ended with {said.returncode}"
        )
    except subprocess.TimeoutExpired:
        why = f"did not end within {timeout} s"
    if why is None:
        return said.stdout
    text = f"{' '.join([Path(words[0]).name, *words[1:3]])}: {why}"
    if failed is None:
        raise ApplyError(text)
    failed.append(text)
    return ""


def quiet(words: list[str]) -> str:
    """What a program prints, whatever becomes of it."""
    try:
        return subprocess.run(  # noqa: S603 -- as above
            words, capture_output=True, text=True, errors="replace", timeout=60
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def succeeds(words: list[str]) -> bool:
    """Whether a program ends with 0."""
    return subprocess.run(words, capture_output=True, timeout=60).returncode == 0  # noqa: S603 -- as above


def exchange(prefix: Path, version: str) -> None:
    """Put the release that was built into its place; what stood there waits beside it."""
    target, aside = prefix / version, prefix / f".{version}.old"
    shutil.rmtree(aside, ignore_errors=True)
    if target.exists():
        try:
            target.rename(aside)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # A folder of a lower layer of overlayfs, as an image has it. It goes when its copy is whole.
            part = prefix / f".{version}.part"
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(target, part, symlinks=True)
            run(["sync", "-f", str(part)])
            part.rename(aside)
            shutil.rmtree(target)
    (prefix / f".{version}.new").rename(target)
    # Where SELinux rules, what a unit starts has to be labelled as a program.
    quiet(["restorecon", "-R", str(target)])


def change_back(prefix: Path, version: str, *, was_there: bool) -> None:
    """Undo `exchange`, however far it came; also once more."""
    target, aside = prefix / version, prefix / f".{version}.old"
    if was_there and aside.exists():
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)
    elif not was_there:
        shutil.rmtree(target, ignore_errors=True)
    for rest in (f".{version}.new", f".{version}.part"):
        shutil.rmtree(prefix / rest, ignore_errors=True)


def tidy(plan: dict[str, Any]) -> None:
    """Of releases that are not in use, let the last stay that was."""
    prefix = Path(plan["prefix"])
    shutil.rmtree(prefix / f".{plan['version']}.old", ignore_errors=True)
    if not plan["release"]:
        return
    found = [path.parents[1] for path in prefix.glob("*/bin/hostward") if not path.parents[1].is_symlink()]
    rest = [path for path in found if path.name not in (plan["version"], plan["previous"])]
    rest.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in rest[max(0, KEPT - (len(found) - len(rest))) :]:
        shutil.rmtree(path, ignore_errors=True)
