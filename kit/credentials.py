"""Secrets that options name: a file that others cannot read, or a credential that systemd hands to the unit.

For both sides. An option holds `/etc/hostward/pg.password` or `credential:pg`, never the secret itself. The second is
the file `pg` in $CREDENTIALS_DIRECTORY, which `LoadCredential=pg:…` fills: https://systemd.io/CREDENTIALS/.
"""

from __future__ import annotations

import grp
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from kit.errors import HostwardError
from kit.terminal import clean

PREFIX = "credential:"
FOLDER = "CREDENTIALS_DIRECTORY"
"""The environment variable by which systemd says where the unit's credentials are."""
GROUP = "hostward"
"""The agent's group. A file of root's may be readable by it, which is how root shares a secret with the agent."""
MAX_SIZE = 64 * 1024
"""Bytes. What is larger is no password, key or token."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")


class SecretError(HostwardError):
    """A secret that cannot be used, and what to do about it. The message never holds any of it."""


def read_secret(place: str) -> str:
    """The secret in the file `place`, or in the credential where it is `credential:NAME`, without the line's end.

    A file must belong to root or to the reader, and nobody else may have any rights to it, but for the agent's group,
    which may read what is root's. A credential's rights are systemd's doing. Raises SecretError.
    """
    if place.startswith(PREFIX):
        return _read(_credential(place.removeprefix(PREFIX)), guarded=True)
    file = Path(place)
    if not file.is_absolute() or "\0" in place:
        raise SecretError(f"{clean(place)}: expected the full path of a file, or {PREFIX}NAME")
    return _read(file, guarded=False)


def read_environment(place: str) -> dict[str, str]:
    """The variables in a file or a credential: a line `NAME=VALUE` each, empty ones and those with # left out.

    A value may stand in quotes. Raises SecretError, and HostwardError for another line; neither holds any of it.
    """
    found = {}
    for number, line in enumerate(read_secret(place).splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name.isidentifier() or "\0" in value:
            raise HostwardError(f"{clean(place)}:{number}: expected NAME=VALUE")
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[name] = value
    return found


def _credential(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise SecretError(f"{clean(PREFIX + name)}: expected letters, digits, _ . and - after the colon")
    folder = os.environ.get(FOLDER)
    if not folder:
        raise SecretError(f"{PREFIX}{name}: the unit has no credentials; give it LoadCredential={name}:FILE")
    file = Path(folder, name)
    if not file.exists():
        raise SecretError(f"{PREFIX}{name}: the unit has no such credential; give it LoadCredential={name}:FILE")
    return file


def _read(file: Path, *, guarded: bool) -> str:
    name = clean(str(file))
    try:
        # Not blocking: opening a pipe would wait for a writer for ever.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SecretError(f"{name}: a secret is a regular file, which this is not")
            if not guarded and (wrong := too_open(status)):
                raise SecretError(f"{name}: {wrong}")
            data = stream.read(MAX_SIZE + 1)
    except OSError as error:
        raise SecretError(f"{name}: {error.strerror}") from error
    if len(data) > MAX_SIZE:
        raise SecretError(f"{name}: is larger than {MAX_SIZE // 1024} KiB, so it is no secret")
    try:
        secret = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SecretError(f"{name}: is not UTF-8 text") from None
    if not secret:
        raise SecretError(f"{name}: is empty")
    return secret


def too_open(status: os.stat_result) -> str | None:
    """Who else could read or change a secret's file, and what to do; None where nobody could."""
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to user {status.st_uid}; a secret must belong to root or to who reads it (chown root)"
    mode = stat.S_IMODE(status.st_mode)
    if not mode & 0o077:
        return None
    if not mode & 0o037 and status.st_uid == 0 and status.st_gid in _groups():
        return None
    return (
        f"others have rights to it (mode {mode:04o}); chmod 600 it, or for the agent chown root:{GROUP} and chmod 640"
    )


def _groups() -> set[int]:
    groups = {os.getegid()}
    with suppress(KeyError):  # not installed here: somebody's own agent
        groups.add(grp.getgrnam(GROUP).gr_gid)
    return groups
