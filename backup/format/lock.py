"""Lock files, and the rule by which one counts as left behind (doc/design.rst, "Locks")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from backup.errors import DamagedError
from backup.format.gotime import Moment, format_moment, parse_moment

STALE_AFTER = 30 * 60 * 1_000_000_000
"""Nanoseconds after which a lock that was not refreshed counts as left behind."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Who works on a repository since when."""

    time: Moment
    exclusive: bool
    hostname: str
    username: str
    pid: int
    uid: int = 0
    gid: int = 0

    def excludes(self, *, exclusive: bool) -> bool:
        """Whether somebody who wants to lock must wait for this one."""
        return self.exclusive or exclusive


class _Stored(msgspec.Struct, omit_defaults=True):
    time: str
    exclusive: bool
    hostname: str
    username: str
    pid: int
    uid: int = 0
    gid: int = 0


def encode_lock(lock: Lock) -> bytes:
    """As restic writes it."""
    return msgspec.json.encode(
        _Stored(format_moment(lock.time), lock.exclusive, lock.hostname, lock.username, lock.pid, lock.uid, lock.gid)
    )


def parse_lock(data: bytes) -> Lock:
    """The reverse. Raises DamagedError."""
    try:
        stored = msgspec.json.decode(data, type=_Stored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"a lock that is not one: {error}") from None
    return Lock(
        parse_moment(stored.time),
        stored.exclusive,
        stored.hostname,
        stored.username,
        stored.pid,
        stored.uid,
        stored.gid,
    )


def is_stale(lock: Lock, *, now: int, hostname: str, is_alive: Callable[[int], bool]) -> bool:
    """Whether its owner is gone: not refreshed for half an hour, or of this host and without its process.

    `now` in nanoseconds since 1970.
    """
    if now - lock.time.nanoseconds > STALE_AFTER:
        return True
    return lock.hostname == hostname and not is_alive(lock.pid)
