"""Passwords and tokens, and what is kept of them.

Passwords are kept as argon2id hashes; tokens, which are random enough, as SHA-256.
"""

from __future__ import annotations

import hashlib
import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MAX_PASSWORD = 1024
"""Characters: hashing takes longer for longer ones."""

_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """An argon2id hash with its parameters, in its own text form."""
    return _hasher.hash(password)


def is_password(password: str, stored: str | None) -> bool:
    """Whether `stored` is the hash of `password`. None, for a user that is not there, takes as long."""
    try:
        _hasher.verify(nobody() if stored is None else stored, password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def is_outdated(stored: str) -> bool:
    """Whether the hash has weaker parameters than a new one would have."""
    return _hasher.check_needs_rehash(stored)


@cache
def nobody() -> str:
    """The hash of a password that nobody knows. The first call takes as long as hashing does."""
    return _hasher.hash(secrets.token_urlsafe(16))


def new_token(kind: str) -> tuple[str, bytes]:
    """A token of 256 random bits, and what is kept of it. `kind` begins it: what it is shows wherever it leaks."""
    token = f"{kind}_{secrets.token_urlsafe(32)}"
    return token, hash_token(token)


def hash_token(token: str) -> bytes:
    """SHA-256: a random token needs no slow hash."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
