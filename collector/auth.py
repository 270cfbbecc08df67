"""Who asks: people by session, programs by API token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from collector.api.problems import RETRY_AFTER, ApiError
from collector.credentials import (
    MAX_PASSWORD,
    hash_password,
    hash_token,
    is_outdated,
    is_password,
    new_token,
    nobody,
)
from collector.store import accounts
from collector.store.accounts import ROLES, Role, User
from collector.store.database import Database

COOKIE = "__Host-hostward"
"""Browsers take a cookie of this prefix only over TLS, for this very host, and for all paths."""

HASHINGS = 2
"""Passwords that are hashed at one time; each takes 64 MiB for a moment."""

LOGINS = 20
"""Logins that may be under way or waiting for it."""


def may(user: User, role: Role) -> bool:
    """Whether `user` has `role` or one that includes it."""
    return ROLES.index(user.role) >= ROLES.index(role)


def _is_unicode(text: str) -> bool:
    """No lone surrogates, which have no bytes to be hashed or stored."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


class Auth:
    """Logs people in and out, and tells who asks."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._logins = 0
        self._hashing = asyncio.Semaphore(HASHINGS)
        nobody()  # made before anybody asks: who asks first could tell how long it took

    async def login(self, name: str, password: str) -> str | None:
        """A new session's token, or None; it takes as long for a name that nobody has.

        Raises ApiError 503 while too many are logging in: guesses must not pile up, nor take all of the processor.
        """
        if len(password) > MAX_PASSWORD or not _is_unicode(name + password):
            return None
        if self._logins >= LOGINS:
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "busy",
                "Too many are logging in; try again in a moment.",
                permanent=False,
                headers={"Retry-After": str(RETRY_AFTER)},
            )
        self._logins += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(self._login, name, password)
        finally:
            self._logins -= 1

    async def session(self, token: str) -> User | None:
        """Whose session it is; None where there is none, or it has ended."""
        return await asyncio.to_thread(self._session, hash_token(token))

    async def logout(self, token: str) -> None:
        """End the session."""
        await asyncio.to_thread(self._logout, hash_token(token))

    async def bearer(self, token: str) -> User | None:
        """Who an API token speaks for; None where it is unknown, revoked or expired."""
        return await asyncio.to_thread(self._bearer, hash_token(token))

    def _login(self, name: str, password: str) -> str | None:
        with self._database.read() as connection:
            account = accounts.find_account(connection, name)
        if not is_password(password, None if account is None else account.password_hash) or account is None:
            return None
        token, token_hash = new_token("hws")
        with self._database.write() as connection:
            if is_outdated(account.password_hash):
                accounts.set_password_hash(connection, account.id, hash_password(password))
            accounts.add_session(connection, token_hash, account.id, self._clock())
        return token

    def _session(self, token_hash: bytes) -> User | None:
        now = self._clock()
        with self._database.read() as connection:
            found = accounts.session_user(connection, token_hash, now)
        if found is None:
            return None
        user, used = found
        if now - used > accounts.TOUCH:
            with self._database.write() as connection:
                accounts.touch_session(connection, token_hash, now)
        return user

    def _logout(self, token_hash: bytes) -> None:
        with self._database.write() as connection:
            accounts.delete_session(connection, token_hash)

    def _bearer(self, token_hash: bytes) -> User | None:
        now = self._clock()
        with self._database.read() as connection:
            found = accounts.find_api_token(connection, token_hash, now)
        if found is None:
            return None
        if now - (found.used or 0.0) > accounts.TOUCH:
            with self._database.write() as connection:
                accounts.touch_api_token(connection, found.id, now)
        return User(name=f"token {found.id}", role=found.role)
