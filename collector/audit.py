"""What people, hosts and tokens did, as a chain of hashes: nobody changes an entry and the chain still holds.

An entry's hash is SHA-256 over the hash before it (32 zero bytes for the first) and the entry's fields as a JSON
array: number, time, actor, address, act, subject, detail. Entries are numbered from 1 without holes and never
removed, so a changed, removed, added or moved one is found by `verify`. The end is held by a head, the number and
hash of the newest entry, that is kept elsewhere: the server writes it to its log whenever it has changed. Whoever
can write the database and every place that holds a head can write the whole chain anew; nothing here detects that.

An entry is written in the transaction of the act that it tells of. Numbers are the table's key: of two writers
that would follow the same entry, one fails.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Row, insert, select

from collector.store.tables import audit
from kit.errors import HostwardError

Act = Literal[
    "api-token.created",
    "api-token.revoked",
    "backup.acknowledged",
    "backup.browsed",
    "backup.credential",
    "backup.downloaded",
    "backup.forgotten",
    "backup.lost",
    "backup.refused",
    "backup.released",
    "backup.removed",
    "certificate.issued",
    "collector.initialised",
    "database.loaded",
    "database.moved",
    "enrolment.refused",
    "host.enrolled",
    "host.grouped",
    "host.renamed",
    "host.revoked",
    "login.done",
    "login.failed",
    "login.locked",
    "login.unlocked",
    "logout.done",
    "rollout.told",
    "token.created",
    "user.created",
    "user.deleted",
    "user.password",
    "window.changed",
    "window.closed",
    "window.opened",
]

START = bytes(32)
"""What the first entry follows."""
MAX_STRANGE = 1000
"""Entries an hour about people who proved nothing; more are counted: nobody may fill the disk from outside."""
HOUR = 3600.0
NOBODY = "nobody"
"""The actor where nothing is proven."""

_encode = msgspec.json.Encoder().encode


class AuditError(HostwardError):
    """The chain does not hold; the message says where."""


class Head(msgspec.Struct, frozen=True):
    """The newest entry: written `17:HASH`, and `0:` and zeros while there is none."""

    number: int
    hash: bytes

    def __str__(self) -> str:
        """As `parse` takes it."""
        return f"{self.number}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Raises ValueError, saying what was expected."""
        number, _, digest = text.partition(":")
        if not (number.isascii() and number.isdecimal() and len(number) < 16 and len(digest) == 64):
            raise ValueError("a head such as 17:HASH, with 64 hexadecimal digits")
        try:
            return cls(int(number), bytes.fromhex(digest))
        except ValueError:
            raise ValueError("a head such as 17:HASH, with 64 hexadecimal digits") from None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One act."""

    number: int
    time: float
    """Seconds since the epoch, by home's clock."""
    actor: str
    """Who did it: `user:NAME`, `host:ID`, `unix:NAME` for a command, or `nobody` where nothing was proven."""
    address: str
    """Where the request came from; '' for a command."""
    act: str
    subject: str
    """Whom or what it was done to: `user:NAME`, `host:ID`, `api-token:ID`…; '' where that is the actor."""
    detail: str
    """What else is worth knowing, in words."""
    hash: str
    """In hexadecimal."""


def append(
    connection: Connection,
    act: Act,
    *,
    actor: str,
    now: float,
    subject: str = "",
    address: str = "",
    detail: str = "",
) -> Head:
    """Add an entry, in the caller's writing transaction."""
    before = head(connection)
    fields = (before.number + 1, now, actor, address, act, subject, detail)
    digest = _digest(before.hash, fields)
    connection.execute(insert(audit).values((*fields, digest)))
    return Head(before.number + 1, digest)


def head(connection: Connection) -> Head:
    """The newest entry."""
    row = connection.execute(select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1)).first()
    return Head(0, START) if row is None else Head(row.number, row.hash)


def entries(connection: Connection, *, limit: int, before: int | None = None) -> list[Entry]:
    """The newest first; with `before` only those of a smaller number."""
    statement = select(audit).order_by(audit.c.number.desc()).limit(limit)
    if before is not None:
        statement = statement.where(audit.c.number < before)
    return [_entry(row) for row in connection.execute(statement)]


def verify(connection: Connection, known: Head | None = None) -> Head:
    """Walk the whole chain and return its head. Raises AuditError at the first entry where it does not hold.

    `known` is a head that was kept elsewhere: the chain must hold that entry still, so that its end was not cut off
    nor the whole of it written anew since.
    """
    last = Head(0, START)
    found = known is None or known == last
    for row in _rows(connection):
        expected = last.number + 1
        if row.number != expected:
            raise AuditError(f"entry {expected} is missing: after entry {last.number} comes entry {row.number}")
        if row.hash != _digest(last.hash, tuple(row)[:-1]):
            raise AuditError(
                f"entry {row.number} does not follow from what is before it: "
                + ("it was changed" if row.number == 1 else f"it or entry {last.number} was changed")
            )
        last = Head(row.number, row.hash)
        found = found or last == known
    if not found and known is not None:
        raise AuditError(
            f"the chain holds by itself and ends with entry {last.number}, but the head {known} is not in it: "
            + ("its end was cut off" if known.number > last.number else "it was written anew")
        )
    return last


class Strangers:
    """Writes of those who proved nothing: MAX_STRANGE entries an hour. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hour = 0.0
        self._written = 0
        self._left_out = 0

    def append(
        self, connection: Connection, act: Act, *, now: float, subject: str, address: str, detail: str = ""
    ) -> None:
        """Add an entry while there is room; the next one that has room says how many had none."""
        with self._lock:
            if not 0 <= now - self._hour < HOUR:
                self._hour, self._written = now, 0
            if self._written >= MAX_STRANGE:
                self._left_out += 1
                return
            self._written += 1
            left_out, self._left_out = self._left_out, 0
        if left_out:
            detail = "; ".join(filter(None, (detail, f"{left_out} entries before it were too many to be written")))
        append(connection, act, actor=NOBODY, now=now, subject=subject, address=address, detail=detail)


def _digest(before: bytes, fields: tuple[Any, ...]) -> bytes:
    return hashlib.sha256(before + _encode(fields)).digest()


def _rows(connection: Connection) -> Iterator[Row[Any]]:
    yield from connection.execute(select(audit).order_by(audit.c.number).execution_options(yield_per=1000))


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        number=row.number,
        time=row.time,
        actor=row.actor,
        address=row.address,
        act=row.act,
        subject=row.subject,
        detail=row.detail,
        hash=row.hash.hex(),
    )
