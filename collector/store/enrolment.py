"""Queries about enrolment tokens: one-time, expiring, kept as hashes."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from collector.store.tables import enrolment_tokens

KEPT = 30 * 86400.0
"""Seconds that an expired token is remembered, so that who uses it is told why it is refused."""


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    """What is known of a token."""

    expires: float
    used: float | None
    host: str | None
    """The id of the host that used it."""


def add_token(connection: Connection, token_hash: bytes, *, now: float, expires: float) -> None:
    """Remember a token, and forget those that expired long ago."""
    connection.execute(delete(enrolment_tokens).where(enrolment_tokens.c.expires < now - KEPT))
    connection.execute(insert(enrolment_tokens).values(token_hash=token_hash, created=now, expires=expires))


def find_token(connection: Connection, token_hash: bytes) -> EnrolmentToken | None:
    """None for a token that was never made, or expired long ago."""
    row = connection.execute(select(enrolment_tokens).where(enrolment_tokens.c.token_hash == token_hash)).first()
    return None if row is None else EnrolmentToken(expires=row.expires, used=row.used, host=row.host_id)


def use_token(connection: Connection, token_hash: bytes, *, now: float, host: str) -> None:
    """Bind the token to the host that used it."""
    connection.execute(
        update(enrolment_tokens).where(enrolment_tokens.c.token_hash == token_hash).values(used=now, host_id=host)
    )
