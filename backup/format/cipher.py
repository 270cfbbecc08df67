"""Sealing and opening, by OpenSSL: AES-256-CTR, then Poly1305-AES over the ciphertext (format/crypto.py).

A nonce is drawn at random and must never serve twice under one key; this holds over a fork, too.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher as Context
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

from backup.errors import DamagedError
from backup.format.crypto import CODE_LENGTH, NONCE_LENGTH, OVERHEAD, MasterKey

_NONCES_AT_ONCE = 512


class _Generation:
    """Counts the forks behind this process: nonces that were drawn before a fork belong to the parent alone."""

    current = 0

    @classmethod
    def advance(cls) -> None:
        cls.current += 1


os.register_at_fork(after_in_child=_Generation.advance)


class Sealed(NamedTuple):
    """What sealing makes, in parts: to put a large one together is to copy it."""

    nonce: bytes
    ciphertext: bytes | memoryview
    code: bytes


class Cipher:
    """Seals and opens many pieces with contexts made once. Not for several threads at a time."""

    def __init__(self, key: MasterKey) -> None:
        self._stream = Context(algorithms.AES(key.encrypt), modes.CTR(bytes(NONCE_LENGTH))).encryptor()
        # ECB of single random blocks is the bare AES that the construction asks for; many blocks go in one call.
        self._block = Context(algorithms.AES(key.mac_k), modes.ECB()).encryptor()  # noqa: S305  # nosec B305
        self._r = key.mac_r
        self._generation = -1
        self._nonces = b""
        self._encrypted_nonces = b""
        self._at = 0

    def seal(self, plain: bytes | bytearray | memoryview) -> bytes:
        """Seal under a fresh nonce."""
        return b"".join(self.seal_in_parts(plain))

    def seal_in_parts(self, plain: bytes | bytearray | memoryview) -> Sealed:
        """Seal under a fresh nonce."""
        nonce, one_time_key = self._draw()
        self._stream.reset_nonce(nonce)
        ciphertext = self._stream.update(plain)
        return Sealed(nonce, ciphertext, Poly1305.generate_tag(one_time_key, ciphertext))

    def open(self, sealed: bytes | bytearray | memoryview) -> bytes:
        """What was sealed. Raises DamagedError where the code is not the right one, or bytes are missing."""
        if len(sealed) < OVERHEAD:
            raise DamagedError(f"Sealed data of {len(sealed)} bytes is shorter than its seal of {OVERHEAD}.")
        view = memoryview(sealed)
        return self.open_parts(
            Sealed(bytes(view[:NONCE_LENGTH]), view[NONCE_LENGTH:-CODE_LENGTH], bytes(view[-CODE_LENGTH:]))
        )

    def open_parts(self, sealed: Sealed) -> bytes:
        """What was sealed. Raises DamagedError where the code is not the right one."""
        nonce, ciphertext, code = sealed
        try:
            # Compares in constant time.
            Poly1305.verify_tag(self._r_and(self._block.update(nonce)), ciphertext, code)
        except InvalidSignature:
            raise DamagedError("Sealed data does not have the right authentication code.") from None
        self._stream.reset_nonce(nonce)
        return self._stream.update(ciphertext)

    def _draw(self) -> tuple[bytes, bytes]:
        """A fresh nonce and the one-time key of its code."""
        at = self._at
        if at == len(self._nonces) or self._generation != _Generation.current:
            # The first draw is a small one: most ciphers seal one thing.
            count = 1 if self._generation == -1 else _NONCES_AT_ONCE
            self._generation = _Generation.current
            self._nonces = os.urandom(NONCE_LENGTH * count)
            self._encrypted_nonces = self._block.update(self._nonces)
            at = 0
        self._at = at + NONCE_LENGTH
        return self._nonces[at : self._at], self._r_and(self._encrypted_nonces[at : self._at])

    def _r_and(self, encrypted_nonce: bytes) -> bytes:
        """The one-time key. OpenSSL keeps r first and clamps it by itself."""
        return self._r + encrypted_nonce
