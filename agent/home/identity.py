"""Who this host is to its home: a key made here, and what home said when it took it.

`identity.key` is made, and durable, before home hears of it: a crash between home's commit and the saving of its
answer leaves a key with which enrolling again succeeds. `identity.json` is written last, so it alone says that a
host is enrolled.
"""

from __future__ import annotations

import os
import secrets
import stat
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from kit.errors import HostwardError, UsageError
from kit.files import own_as_folder, write_durably
from kit.terminal import clean
from wire import limits
from wire.report import Id, Title

IDENTITY = "identity.json"
KEY = "identity.key"
CA = "home-ca.pem"


class IdentityError(HostwardError):
    """The files that say who this host is are damaged, or others could read the key."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a report is sent with."""

    collector: str
    """`https://HOST:PORT`, as `collector_url` has it."""
    host: str
    name: str
    ca: Path
    """The only certificates that the collector's may be signed by, PEM."""
    key: bytes = field(repr=False)
    """The Ed25519 key, 32 bytes."""


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    version: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    collector: str
    host: Annotated[Id, msgspec.Meta(pattern=rf"\A{limits.ID.pattern}\Z")]
    name: Title


def load(folder: Path) -> Identity | None:
    """The identity in a state folder, None before enrolment. Raises IdentityError for what cannot be trusted."""
    path = folder / IDENTITY
    _look_who_may_write(folder)
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=_Stored)
        collector = collector_url(stored.collector)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IdentityError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, UsageError) as error:
        raise IdentityError(
            f"{path} is damaged ({error}); remove it and run `hostward enroll` with a new token"
        ) from error
    key = _read_key(folder / KEY)
    if key is None:
        raise IdentityError(f"{folder / KEY} is missing; remove {path} and run `hostward enroll` with a new token")
    ca = folder / CA
    if not ca.exists():
        raise IdentityError(f"{ca} is missing; copy the collector's ca.pem there")
    return Identity(collector=collector, host=stored.host, name=stored.name, ca=ca, key=key)


def prepare_key(folder: Path) -> bytes:
    """The key of this host: the one that is there, else a new one, durable before it is returned.

    Raises IdentityError, or OSError when it cannot be written.
    """
    path = folder / KEY
    _look_who_may_write(folder)
    key = _read_key(path)
    if key is None:
        # RFC 8032, section 5.1.5: any 32 random bytes are a key.
        key = secrets.token_bytes(32)
        _write(path, b64encode(key) + b"\n", mode=0o600)
    return key


def save(folder: Path, *, collector: str, host: str, name: str, ca: bytes) -> None:
    """Record what home answered, durably; from now on the host is enrolled. Raises OSError."""
    _write(folder / CA, ca, mode=0o644)
    stored = _Stored(collector=collector, host=host, name=name)
    _write(folder / IDENTITY, msgspec.json.format(msgspec.json.encode(stored)) + b"\n", mode=0o644)


def collector_url(text: str) -> str:
    """`https://HOST[:PORT]` without a trailing slash. Raises UsageError for anything else."""
    expected = f'"{clean(text)}" is not the address of a collector: expected https://HOST or https://HOST:PORT'
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise UsageError(expected) from None
    if parts.scheme != "https" or not parts.hostname or parts.username is not None or port == 0:
        raise UsageError(expected)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UsageError(f"{expected}, with nothing behind it")
    if any(not 33 <= ord(letter) <= 126 for letter in text):
        raise UsageError(expected)
    return f"https://{parts.netloc}"


def _look_who_may_write(folder: Path) -> None:
    """Who can write to the folder can put another key, another home or another CA there."""
    try:
        mode = stat.S_IMODE(folder.stat().st_mode)
    except OSError:
        return  # what is needed of it will be told to be missing
    if mode & 0o022:
        raise IdentityError(
            f"{folder} has mode {mode:04o}, so others may change who this host is and where it reports: "
            f"run `chmod 700 {folder}`, and enroll anew where others cannot be trusted"
        )


def _read_key(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(256)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IdentityError(f"{path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise IdentityError(
            f"{path} has mode {mode:04o}, so others may have read the key: remove it and {IDENTITY}, "
            "revoke this host at home, and run `hostward enroll` with a new token"
        )
    try:
        key = b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise IdentityError(f"{path} is damaged; remove it and {IDENTITY} and run `hostward enroll` with a new token")
    return key


def _write(path: Path, data: bytes, *, mode: int) -> None:
    write_durably(path, data, mode=mode)
    own_as_folder(path)
