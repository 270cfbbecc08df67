"""Who asks: people by session, programs by API token."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from http import HTTPStatus

from sqlalchemy import Connection

from collector import audit
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
from collector.rules import login as limits
from collector.store import accounts, attempts
from collector.store.accounts import ROLES, Role, User
from collector.store.database import Database
from kit.units import format_duration

COOKIE = "__Host-hostward"
"""Browsers take a cookie of this prefix only over TLS, for this very host, and for all paths."""

HASHINGS = 2
"""Passwords that are hashed at one time; each takes 64 MiB for a moment."""

LOGINS = 20
"""Logins that may be under way or waiting for it."""

LONGEST_NAME = 64
"""Characters; no user's name is longer."""


def may(user: User, role: Role) -> bool:
    """Whether `user` has `role` or one that includes it."""
    return ROLES.index(user.role) >= ROLES.index(role)


def account_key(name: str) -> str:
    """Under which attempts on an account are counted, whether or not there is one of this name."""
    return f"user:{name[:LONGEST_NAME]}"


def _is_unicode(text: str) -> bool:
    """No lone surrogates, which have no bytes to be hashed or stored."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


class Auth:
    """Logs people in and out, and tells who asks."""

    def __init__(self, database: Database, clock: Callable[[], float], strangers: audit.Strangers) -> None:
        self._database = database
        self._clock = clock
        self._logins = 0
        self._hashing = asyncio.Semaphore(HASHINGS)
        self._strangers = strangers
        nobody()  # made before anybody asks: who asks first could tell how long it took

    async def login(self, name: str, password: str, address: str) -> str | None:
        """A new session's token, or None; the answer and the time it takes are the same for a name that nobody has.

        Raises ApiError 429 where the name or the address failed too often of late, with `Retry-After`, whatever the
        password; and 503 while too many are logging in: guesses must not pile up, nor take all of the processor.
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
            if wait := await asyncio.to_thread(self._admit, name, address):
                raise ApiError(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    "too_many_attempts",
                    f"Too many logins failed. Try again in {format_duration(wait)}.",
                    permanent=False,
                    headers={"Retry-After": str(wait)},
                )
            async with self._hashing:
                return await asyncio.to_thread(self._login, name, password, address)
        finally:
            self._logins -= 1

    async def session(self, token: str) -> User | None:
        """Whose session it is; None where there is none, or it has ended."""
        return await asyncio.to_thread(self._session, hash_token(token))

    async def logout(self, token: str, address: str) -> None:
        """End the session."""
        await asyncio.to_thread(self._logout, hash_token(token), address)

    async def bearer(self, token: str) -> User | None:
        """Who an API token speaks for; None where it is unknown, revoked or expired."""
        return await asyncio.to_thread(self._bearer, hash_token(token))

    def _admit(self, name: str, address: str) -> int:
        """Seconds to wait, or 0 and the attempt counts as failed until it succeeds: many at once are no way round."""
        now = self._clock()
        with self._database.write() as connection:
            found = [(key, limit, attempts.attempts(connection, key)) for key, limit in _limits(name, address)]
            wait = max(limits.wait(tried, limit, now) for _, limit, tried in found)
            if wait == 0:
                for key, _, tried in found:
                    attempts.save(connection, key, limits.failed(tried, now))
        return math.ceil(wait)

    def _login(self, name: str, password: str, address: str) -> str | None:
        with self._database.read() as connection:
            account = accounts.find_account(connection, name)
        if not is_password(password, None if account is None else account.password_hash) or account is None:
            self._note_failure(name, address, known=account is not None)
            return None
        token, token_hash = new_token("hws")
        now = self._clock()
        with self._database.write() as connection:
            # Somebody may have changed the password, or removed the user, while this one was being hashed.
            if accounts.find_account(connection, name) != account:
                return None
            if is_outdated(account.password_hash):
                accounts.set_password_hash(connection, account.id, hash_password(password))
            accounts.add_session(connection, token_hash, account.id, now)
            attempts.forget(connection, account_key(name))
            _pardon(connection, _address_key(address))
            audit.append(connection, "login.done", actor=f"user:{name}", address=address, now=now)
        return token

    def _note_failure(self, name: str, address: str, *, known: bool) -> None:
        """A name that nobody has is not written down: people type their password into the wrong field."""
        now = self._clock()
        subject = f"user:{name}" if known else "a name that nobody has"
        with self._database.write() as connection:
            locked = [
                key.partition(":")[0]
                for key, limit in _limits(name, address)
                if attempts.attempts(connection, key).failures >= limit.most
            ]
            self._strangers.append(connection, "login.failed", now=now, subject=subject, address=address)
            if locked:
                detail = f"{' and '.join(locked)} for {format_duration(limits.LOCKED)}"
                self._strangers.append(
                    connection, "login.locked", now=now, subject=subject, address=address, detail=detail
                )

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

    def _logout(self, token_hash: bytes, address: str) -> None:
        now = self._clock()
        with self._database.write() as connection:
            found = accounts.session_user(connection, token_hash, now)
            accounts.delete_session(connection, token_hash)
            if found is not None:
                audit.append(connection, "logout.done", actor=f"user:{found[0].name}", address=address, now=now)

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


def _address_key(address: str) -> str:
    return f"address:{limits.network(address)}"


def _limits(name: str, address: str) -> list[tuple[str, limits.Limit]]:
    return [(account_key(name), limits.ACCOUNT), (_address_key(address), limits.ADDRESS)]


def _pardon(connection: Connection, key: str) -> None:
    """Take back the failure that `_admit` counted; those before it stay."""
    found = attempts.attempts(connection, key)
    attempts.save(connection, key, limits.Attempts(max(0, found.failures - 1), found.last))
