"""Queries about users, their sessions, and API tokens. Tokens are kept as SHA-256 hashes: they are random enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from collector.store.tables import api_tokens, sessions, users

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")
"""From the one that may least; each may what those before it may."""

SESSION_LIFETIME = 30 * 86400.0
"""Seconds after a login when the session ends whatever happens."""
SESSION_IDLE = 7 * 86400.0
"""Seconds without a request after which a session ends."""
TOUCH = 60.0
"""Seconds: the last use of a session or token is written no more often than this."""


@dataclass(frozen=True, slots=True)
class User:
    """Who asks: a person with a session, or a program with an API token."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Account:
    """A user as stored."""

    id: int
    name: str
    role: Role
    password_hash: str
    created: float


@dataclass(frozen=True, slots=True)
class ApiToken:
    """An API token as stored."""

    id: str
    role: Role
    description: str
    created: float
    expires: float | None
    used: float | None


def add_account(connection: Connection, name: str, password_hash: str, role: Role, now: float) -> None:
    """Raises sqlalchemy.exc.IntegrityError where the name is taken."""
    connection.execute(insert(users).values(name=name, password_hash=password_hash, role=role, created=now))


def find_account(connection: Connection, name: str) -> Account | None:
    """The user of this name."""
    row = connection.execute(select(users).where(users.c.name == name)).first()
    return None if row is None else _account(row)


def accounts(connection: Connection) -> list[Account]:
    """All users, by name."""
    return [_account(row) for row in connection.execute(select(users).order_by(users.c.name))]


def count_admins(connection: Connection) -> int:
    """How many users may everything."""
    return int(connection.execute(select(func.count()).where(users.c.role == "admin")).scalar_one())


def set_password(connection: Connection, user: int, password_hash: str) -> None:
    """Change a password and end the user's sessions."""
    connection.execute(update(users).where(users.c.id == user).values(password_hash=password_hash))
    connection.execute(delete(sessions).where(sessions.c.user_id == user))


def set_password_hash(connection: Connection, user: int, password_hash: str) -> None:
    """Store the same password hashed with newer parameters."""
    connection.execute(update(users).where(users.c.id == user).values(password_hash=password_hash))


def delete_account(connection: Connection, user: int) -> None:
    """Remove a user and the user's sessions."""
    connection.execute(delete(users).where(users.c.id == user))


def add_session(connection: Connection, token_hash: bytes, user: int, now: float) -> None:
    """Open a session, and remove those that have ended."""
    connection.execute(
        delete(sessions).where(or_(sessions.c.created < now - SESSION_LIFETIME, sessions.c.used < now - SESSION_IDLE))
    )
    connection.execute(insert(sessions).values(token_hash=token_hash, user_id=user, created=now, used=now))


def session_user(connection: Connection, token_hash: bytes, now: float) -> tuple[User, float] | None:
    """Whose session this is and when it was last used; None where it is unknown or has ended."""
    row = connection.execute(
        select(users.c.name, users.c.role, sessions.c.used)
        .join_from(sessions, users)
        .where(
            sessions.c.token_hash == token_hash,
            sessions.c.created >= now - SESSION_LIFETIME,
            sessions.c.used >= now - SESSION_IDLE,
        )
    ).first()
    return None if row is None else (User(name=row.name, role=row.role), row.used)


def touch_session(connection: Connection, token_hash: bytes, now: float) -> None:
    """Note that the session is in use."""
    connection.execute(update(sessions).where(sessions.c.token_hash == token_hash).values(used=now))


def delete_session(connection: Connection, token_hash: bytes) -> None:
    """End a session."""
    connection.execute(delete(sessions).where(sessions.c.token_hash == token_hash))


def add_api_token(
    connection: Connection,
    token: str,
    token_hash: bytes,
    *,
    role: Role,
    description: str,
    now: float,
    expires: float | None,
) -> None:
    """Remember an API token by its id `token`."""
    connection.execute(
        insert(api_tokens).values(
            id=token, token_hash=token_hash, role=role, description=description, created=now, expires=expires
        )
    )


def api_token_list(connection: Connection) -> list[ApiToken]:
    """All API tokens, the oldest first."""
    return [_token(row) for row in connection.execute(select(api_tokens).order_by(api_tokens.c.created))]


def find_api_token(connection: Connection, token_hash: bytes, now: float) -> ApiToken | None:
    """None where it is unknown or has expired."""
    row = connection.execute(
        select(api_tokens).where(
            api_tokens.c.token_hash == token_hash,
            or_(api_tokens.c.expires.is_(None), api_tokens.c.expires > now),
        )
    ).first()
    return None if row is None else _token(row)


def touch_api_token(connection: Connection, token: str, now: float) -> None:
    """Note that the token is in use."""
    connection.execute(update(api_tokens).where(api_tokens.c.id == token).values(used=now))


def delete_api_token(connection: Connection, token: str) -> bool:
    """Whether there was one of that id."""
    return connection.execute(delete(api_tokens).where(api_tokens.c.id == token)).rowcount > 0


def _account(row: Row[Any]) -> Account:
    return Account(id=row.id, name=row.name, role=row.role, password_hash=row.password_hash, created=row.created)


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        id=row.id,
        role=row.role,
        description=row.description,
        created=row.created,
        expires=row.expires,
        used=row.used,
    )
