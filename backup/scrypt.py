"""scrypt (RFC 7914), by whichever of two libraries is the faster one here."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable

from nacl.bindings import crypto_pwhash_scryptsalsa208sha256_ll

Scrypt = Callable[[bytes, bytes, int, int, int, int], bytes]
"""(password, salt, n, r, p, bytes of memory that it may take) to 64 bytes. Raises ValueError, RuntimeError or
MemoryError where it may or can take no more.
"""

_LENGTH = 64
_TRIED = (b"", bytes(64), 256, 8, 1, 1 << 20)
"""What both are tried with: half a millisecond each."""


def scrypt(password: bytes, salt: bytes, n: int, r: int, p: int, memory: int) -> bytes:
    """64 bytes; as `Scrypt` says."""
    try:
        return fastest()(password, salt, n, r, p, memory)
    except ValueError:  # OpenSSL takes some parameters for wrong that are odd
        return by_sodium(password, salt, n, r, p, memory)


def by_openssl(password: bytes, salt: bytes, n: int, r: int, p: int, memory: int) -> bytes:
    """Python's own library. Not every Python has it, and a host's policy (FIPS) may forbid it."""
    return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=_LENGTH)


def by_sodium(password: bytes, salt: bytes, n: int, r: int, p: int, memory: int) -> bytes:
    """PyNaCl's, which brings its own."""
    return crypto_pwhash_scryptsalsa208sha256_ll(password, salt, n, r, p, dklen=_LENGTH, maxmem=memory)


@functools.cache
def fastest() -> Scrypt:
    """The one that took less time for little work: either may be the faster one by a third, as processors differ."""
    try:
        for way in (by_openssl, by_sodium):
            way(*_TRIED)  # the first time, it looks for its algorithms, and memory is new
        return min(by_openssl, by_sodium, key=_taken)
    except (AttributeError, ValueError):
        return by_sodium


def _taken(way: Scrypt) -> float:
    began = time.thread_time()  # of which waiting for the interpreter's lock is no part
    way(*_TRIED)
    return time.thread_time() - began
