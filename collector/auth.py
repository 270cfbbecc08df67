"""Who asks: people by session, programs by API token.

Passwords are kept as argon2id hashes; tokens, which are random enough, as SHA-256.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from collector.store import accounts
from collector.store.accounts import ROLES, Role, User
from collector.store.database import Database

COOKIE = "__Host-hostward"
"""Browsers take a cookie of this prefix only over TLS, for this very host, and for all paths."""

MAX_PASSWORD = 1024
"""Characters: hashing takes longer for longer ones."""
HASHINGS = 2
"""Passwords that are hashed at one time; each takes 64 MiB for a moment."""

_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """An argon2id hash with its parameters, in its own text form."""
    return _hasher.hash(password)


@cache
def _nobody() -> str:
    """Verified in place of an unknown user's: the answer then takes as long, and does not tell who exists."""
    return _hasher.hash(secrets.token_urlsafe(16))


def new_token(kind: str) -> tuple[str, bytes]:
    """A token of 256 random bits, and what is kept of it. `kind` begins it: what it is shows wherever it leaks."""
    token = f"{kind}_{secrets.token_urlsafe(32)}"
    return token, hash_token(token)


def hash_token(token: str) -> bytes:
    """SHA-256: a random token needs no slow hash."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


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
        self._hashing = asyncio.Semaphore(HASHINGS)
        _nobody()  # made before anybody asks: who asks first could tell how long it took

    async def login(self, name: str, password: str) -> str | None:
        """A new session's token, or None; it takes as long for a name that nobody has."""
        if len(password) > MAX_PASSWORD or not _is_unicode(name + password):
            return None
        async with self._hashing:
            return await asyncio.to_thread(self._login, name, password)

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
        stored = _nobody() if account is None else account.password_hash
        try:
            _hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return None
        if account is None:
            return None
        token, token_hash = new_token("hws")
        with self._database.write() as connection:
            if _hasher.check_needs_rehash(stored):
                accounts.set_password_hash(connection, account.id, _hasher.hash(password))
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
