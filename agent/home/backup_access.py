"""What opens this host's repository at home: asked for by a signed request, and kept in the state folder.

Home makes the credential and keeps its hash. Before each use home is asked whether the one that is held is good: so
a host goes on backing up after home was restored from a backup of its own, or gave the host another repository.
Loaded by commands alone.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec

from agent.home import identity
from agent.home.identity import Identity
from agent.home.transport import Answer, Transport, TransportError
from kit.errors import HostwardError
from kit.files import own_as_folder, write_durably
from kit.terminal import clean
from wire import access, codec, limits, protocol, signature
from wire.report import Problem

FILE = "home-backups.json"
LOCK = "home-backups.lock"
TIMEOUT = 15.0
"""Seconds that home may take to answer, all of it."""

_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"\A[A-Za-z0-9._+-]+\Z")]


class HomeAccessError(HostwardError):
    """This host cannot use a repository at home, and why."""


@dataclass(frozen=True, slots=True)
class HomeAccess:
    """A repository at home."""

    location: str
    """`rest:https://HOST:PORT/backup/NAME/`, without what opens it."""
    user: str
    password: str = field(repr=False)
    ca: Path
    """The only certificates that home's may be signed by, PEM."""

    def environment(self) -> dict[str, str]:
        """For restic, and for the stores that read what restic reads."""
        return {
            "RESTIC_REPOSITORY": self.location,
            "RESTIC_REST_USERNAME": self.user,
            "RESTIC_REST_PASSWORD": self.password,
            "RESTIC_CACERT": str(self.ca),
        }


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    version: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    repository: _Word
    user: _Word
    password: _Word


def home_access(folder: Path, *, renew: bool = False) -> HomeAccess:
    """What opens the repository of the host whose state `folder` is; `renew` ends the credential that is held.

    Where home cannot be reached, what is held is given: whoever uses it tries again. Raises HomeAccessError and
    IdentityError.
    """
    known = identity.load(folder)
    if known is None:
        raise HomeAccessError(
            f"this host is not enrolled ({folder} holds no identity), so it has no repository at home: "
            "run `hostward enroll` first, or name the agent's folder by --state-dir"
        )
    with _locked(folder) as is_writable:
        if renew and not is_writable:
            raise HomeAccessError(f"{folder} cannot be written, so a new credential would be lost; run as root")
        held = _read(folder / FILE)
        try:
            answer = _ask(known, None if held is None or renew else held)
        except TransportError as error:
            if held is None or renew:
                raise HomeAccessError(f"what opens the repository at home cannot be had: {error}") from error
            return _access(known, held)
        given = _Stored(
            repository=answer.repository,
            user=answer.user,
            password=answer.password or (held.password if held is not None else ""),
        )
        if not given.password:
            raise HomeAccessError("the collector gave no credential to a host that holds none")
        if given != held and is_writable:
            _write(folder / FILE, given)
        return _access(known, given)


def _access(known: Identity, held: _Stored) -> HomeAccess:
    location = f"rest:{known.collector}{protocol.BACKUPS}{held.repository}/"
    return HomeAccess(location=location, user=held.user, password=held.password, ca=known.ca.absolute())


def _ask(known: Identity, held: _Stored | None) -> access.Access:
    """Home's answer. Raises TransportError where there is none, HomeAccessError where it is no."""
    key = signature.load_private_key(known.key)
    digest = None if held is None else hashlib.sha256(held.password.encode()).hexdigest()
    body = msgspec.json.encode(access.AccessRequest(held=digest))

    def post(transport: Transport, now: float) -> Answer:
        signed = signature.sign(
            key,
            "POST",
            protocol.BACKUP_ACCESS,
            body,
            created=max(0, round(now)),
            nonce=secrets.token_urlsafe(18),
            key_id=known.host,
        )
        return transport.post(protocol.BACKUP_ACCESS, body, {"Content-Type": protocol.JSON_TYPE, **signed})

    with closing(Transport(known.collector, known.ca, timeout=TIMEOUT)) as transport:
        answer = post(transport, time.time())
        problem = _problem(answer)
        if problem is not None and problem.code == "clock_skew" and problem.time is not None:
            answer = post(transport, problem.time)  # a clock that is wrong here does not matter
            problem = _problem(answer)
    if answer.status == 200:
        try:
            return access.decode_access(answer.body)
        except ValueError:
            pass
    elif answer.status == 503:
        raise TransportError(f"the collector {known.collector} is busy")
    elif problem is not None:
        said = clean(problem.message)[: limits.MAX_MESSAGE]
        raise HomeAccessError(f"the collector refuses ({clean(problem.code)}): {said}")
    raise HomeAccessError(
        f"what answered {answer.status} at {known.collector} is no collector that keeps backups; "
        "it may be older than this agent"
    )


def _problem(answer: Answer) -> Problem | None:
    try:
        return codec.decode_refusal(answer.body).error
    except ValueError:
        return None


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """One at a time: of two who ask home for a new credential, the first would hold one that has ended.

    False where nothing can be kept in the folder, as in the sandbox of root's half: then what is held is used, and
    what home gives is good for this one run.
    """
    path = folder / LOCK
    with ExitStack() as stack:
        try:
            descriptor, is_writable = _open_lock(path)
            if descriptor is not None:
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise HomeAccessError(
                f"{path} cannot be used: {error.strerror}; run as root or as the agent's user, "
                "or choose another folder with --state-dir DIR"
            ) from error
        yield is_writable


def _open_lock(path: Path) -> tuple[int | None, bool]:
    """The file's descriptor, None where there is none and none can be made; whether it can be written."""
    common = os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | common, 0o600)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES):
            raise
        try:
            return os.open(path, os.O_RDONLY | common), False
        except FileNotFoundError:
            return None, False
    own_as_folder(path)
    return descriptor, True


def _read(path: Path) -> _Stored | None:
    """What is held; None where that is nothing, or damaged: home makes another."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(4096)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HomeAccessError(f"{path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        return None  # others may have read it: asked without it, home ends it
    try:
        return msgspec.json.decode(data, type=_Stored)
    except ValueError:
        return None


def _write(path: Path, given: _Stored) -> None:
    try:
        write_durably(path, msgspec.json.format(msgspec.json.encode(given)) + b"\n", mode=0o600)
        own_as_folder(path)
    except OSError as error:
        raise HomeAccessError(
            f"home gave a credential, but {path} cannot be written: {error.strerror}; make room and try again"
        ) from error
