"""How a host asks home for what it needs to use its repository there."""

from __future__ import annotations

from typing import Annotated

import msgspec

from wire.report import Id

_Hash = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"\A[A-Za-z0-9._-]+\Z")]


class AccessRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is posted to `wire.protocol.BACKUP_ACCESS`, signed with the host's key."""

    held: _Hash | None = None
    """The SHA-256 of the credential that the host has, in hexadecimal. None: it wants a new one."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """The host's repository and what opens it, in letters that are safe in a URL and in a shell."""

    repository: _Word
    """It is at `/backup/REPOSITORY/`."""
    user: Id
    """For HTTP Basic: the host's id."""
    password: _Word | None = None
    """A new credential, which ends the one before it. None: the one that the host holds is good."""
    time: float
    """Home's clock, seconds since the epoch."""


def decode_access_request(body: bytes) -> AccessRequest:
    """Raises ValueError."""
    return msgspec.json.decode(body, type=AccessRequest)


def decode_access(body: bytes) -> Access:
    """Raises ValueError."""
    return msgspec.json.decode(body, type=Access)
