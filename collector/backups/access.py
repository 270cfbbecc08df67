"""Who comes in: a host, by HTTP Basic with its id or name and the credential that home made for it.

A credential has 256 random bits, so it is kept as SHA-256 and nobody guesses one. Therefore a right one is always let
in, however many wrong ones came from the same address or under the same name: no stranger can lock a host out. What
wrong ones must wait for keeps them from filling the audit log and from being tried at full speed.
"""

from __future__ import annotations

import asyncio
import hmac
import math
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from collector.api.problems import ApiError
from collector.audit import Strangers
from collector.backups import records
from collector.backups.settings import BackupOptions, Place, place_of
from collector.credentials import hash_token
from collector.rules import login
from collector.store.database import Database
from kit.units import format_duration

REALM = {"WWW-Authenticate": 'Basic realm="hostward backups", charset="UTF-8"'}
LONGEST = 2048
"""Characters of the header."""
REMEMBERED = 10_000
"""Addresses whose failures are remembered; a restart forgets them, which lets nobody in."""

_NOTHING = bytes(32)


@dataclass(frozen=True, slots=True)
class Guest:
    """A host that has proven who it is."""

    host: str
    """Its id."""
    name: str
    place: Place

    def means(self, repository: str) -> bool:
        """Whether the path names the one repository that is the host's."""
        return repository in (self.place.repository, self.host, self.name)


class Access:
    """Lets hosts in. Used on the event loop alone."""

    def __init__(
        self, database: Database, options: BackupOptions, strangers: Strangers, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._options = options
        self._strangers = strangers
        self._clock = clock
        self._failures = Failures()

    async def guest(self, authorization: str | None, address: str) -> Guest:
        """Who asks. Raises ApiError: 401 where that is not proven, and 429 after too many failures."""
        if authorization is None:
            raise _unauthorized("Give the host's id or name and its credential (`hostward backup credentials`).")
        given = parse(authorization)
        found = None if given is None else await asyncio.to_thread(self._find, given[0])
        stored = _NOTHING if found is None or found.token_hash is None else found.token_hash
        is_right = hmac.compare_digest(hash_token("" if given is None else given[1]), stored)
        if found is not None and is_right:
            return Guest(found.id, found.name, place_of(self._options, found.id, found.name))
        wait = self._failures.note(address, self._clock())
        if wait:
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_many_attempts",
                f"Too many wrong credentials came from there. Try again in {format_duration(wait)}.",
                permanent=False,
                headers={"Retry-After": str(wait)},
            )
        await asyncio.to_thread(self._write_down, "" if found is None else f"host:{found.id}", address)
        raise _unauthorized(
            "No host of this id or name has this credential; a new one, or the revocation of the host, has ended "
            "those before it."
        )

    def _find(self, id_or_name: str) -> records.Guest | None:
        if "\0" in id_or_name:
            return None  # which PostgreSQL would not even compare
        with self._database.read() as connection:
            return records.find_guest(connection, id_or_name)

    def _write_down(self, subject: str, address: str) -> None:
        subject = subject or "a name that nobody has"
        with self._database.write() as connection:
            self._strangers.append(connection, "backup.refused", now=self._clock(), subject=subject, address=address)


class Failures:
    """Wrong credentials by the address that they came from, by the rules of logins."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._found: dict[str, login.Attempts] = {}

    def note(self, address: str, now: float) -> int:
        """Count one and return 0; or return how many seconds to wait, and it does not count."""
        key = login.network(address)
        found = self._found.pop(key, login.Attempts())
        wait = login.wait(found, login.ADDRESS, now)
        self._found[key] = found if wait else login.failed(found, now)
        while len(self._found) > self._limit:
            del self._found[next(iter(self._found))]
        return math.ceil(wait)


def parse(authorization: str) -> tuple[str, str] | None:
    """User and password of HTTP Basic (RFC 7617); None for anything else."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic" or len(authorization) > LONGEST:
        return None
    try:
        user, colon, password = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return (user, password) if colon else None


def _unauthorized(message: str) -> ApiError:
    return ApiError(HTTPStatus.UNAUTHORIZED, "unauthorized", message, headers=dict(REALM))
