"""Folders for old logs: they are made where `createolddir` asks, and looked at, when a section ends."""

from __future__ import annotations

import errno
import os
import stat

from agent.logs.rotate.language.text import FileMistakeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.logs.rotate.language.text import Source
    from agent.logs.rotate.rule import Ownership, Rule, Section
    from agent.logs.rotate.say import Voice

_MODE = 0o755
"""Of a folder for which no mode is said."""


def verify(section: Section, source: Source, voice: Voice, pretended: set[str] | None) -> None:
    """Look at the folder of each log, and make it. Raises FileMistakeError.

    With `pretended` nothing is made, and what would have been is put there: it is told once.
    """
    rule = section.rule
    if rule.olddir is None:
        return
    for log in section.logs:
        folder = os.path.dirname(log) or "."
        try:
            status = os.stat(folder)
        except OSError as error:
            if not rule.missingok:
                said = f"error verifying log file path {folder}: {error.strerror}"
                raise FileMistakeError(f"{source.place} {said}") from None
            voice.verbose(
                f"{source.place} verifying log file path failed {folder}: {error.strerror}, log is probably missing,"
                " but missingok is set, so this is not an error."
            )
            continue
        path = os.path.join(folder, rule.olddir)
        _verify_one(path, log, status.st_dev, rule, source, voice, pretended)


def _verify_one(
    path: str, log: str, device: int, rule: Rule, source: Source, voice: Voice, pretended: set[str] | None
) -> None:
    if pretended is not None and path in pretended:
        return
    try:
        status = os.stat(path)
    except OSError as error:
        if rule.createolddir is None or not isinstance(error, FileNotFoundError):
            said = f"error verifying olddir path {path}: {error.strerror}"
            raise FileMistakeError(f"{source.place} {said}") from None
        _make(path, rule.createolddir, rule.su, voice, pretended)
        return
    if status.st_dev != device and not (rule.copy or rule.copytruncate or rule.renamecopy):
        raise FileMistakeError(f"{source.place} olddir {path} and log file {log} are on different devices")


def _make(path: str, wanted: Ownership, su: tuple[int, int] | None, voice: Voice, pretended: set[str] | None) -> None:
    """Make a folder with those that it is in. Raises FileMistakeError."""
    mode = _MODE if wanted.mode is None else wanted.mode
    uid, gid = (-1 if each is None else each for each in (wanted.uid, wanted.gid))
    before = (os.geteuid(), os.getegid())
    if su is not None and su != before:
        _switch(before, su, voice)
    try:
        voice.verbose(f"creating new directory {path} mode = 0{mode:o} uid = {uid} gid = {gid}")
        if pretended is None:
            _make_all(path, mode, uid, gid)
        else:
            _look_for_hindrance(path)
            pretended.add(path)
    except FileMistakeError as mistake:
        voice.error(str(mistake))
        mistake.is_told = True
        raise
    finally:
        if su is not None and su != before:
            _switch(su, before, voice)


def _switch(now: tuple[int, int], then: tuple[int, int], voice: Voice) -> None:
    voice.verbose(
        f"switching euid from {now[0]} to {then[0]} and egid from {now[1]} to {then[1]} (pid {os.getpid()})"
    )
    try:
        if then[0] == os.getuid():
            os.seteuid(then[0])
            os.setegid(then[1])
        else:
            os.setegid(then[1])
            os.seteuid(then[0])
    except OSError as error:
        said = (
            f"error switching euid from {now[0]} to {then[0]} and egid from {now[1]} to {then[1]}: {error.strerror}"
        )
        raise FileMistakeError(f"{said} (pid {os.getpid()})") from None


def _look_for_hindrance(path: str) -> None:
    """Raises FileMistakeError where `_make_all` would, as far as can be told without trying."""
    made = "/" if path.startswith("/") else ""
    for part in filter(None, path.split("/")):
        folder, made = made or ".", os.path.join(made, part)
        if not os.path.lexists(made):
            if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
                raise FileMistakeError(f"error creating {made}: {os.strerror(errno.EACCES)}")
            return
        if not os.path.isdir(made):
            raise FileMistakeError(f"path {made} already exists, but it is not a directory")


def _make_all(path: str, mode: int, uid: int, gid: int) -> None:
    """Each folder that is not there gets the mode and the owners. Raises FileMistakeError.

    Goes by descriptors: whoever may write where a folder is made must not have root give away what took its place.
    """
    made = "/" if path.startswith("/") else ""
    try:
        folder = os.open(made or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FileMistakeError(f"error creating {path}: {error.strerror}") from None
    try:
        for part in filter(None, path.split("/")):
            made = os.path.join(made, part)
            folder, before = _enter(folder, part, made, mode, uid, gid), folder
            os.close(before)
    finally:
        os.close(folder)


def _enter(folder: int, part: str, path: str, mode: int, uid: int, gid: int) -> int:
    """A descriptor of a part of the path, which is made where it is not there. Raises FileMistakeError."""
    try:
        os.mkdir(part, stat.S_IRWXU, dir_fd=folder)
    except FileExistsError:
        try:
            return os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        except OSError:
            raise FileMistakeError(f"path {path} already exists, but it is not a directory") from None
    except OSError as error:
        raise FileMistakeError(f"error creating {path}: {error.strerror}") from None
    try:
        made = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        raise FileMistakeError(f"error opening {path}: {error.strerror}") from None
    try:
        if os.fstat(made).st_uid != os.geteuid():
            raise FileMistakeError(f"{path} is not the directory that was made")
        os.fchown(made, uid, gid)
        os.fchmod(made, mode)
    except BaseException as error:
        os.close(made)
        if isinstance(error, OSError):
            raise FileMistakeError(f"error setting owner of {path}: {error.strerror}") from None
        raise
    return made
