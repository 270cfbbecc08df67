"""What restic seals what it stores with: AES-256-CTR, then Poly1305-AES over the ciphertext (doc/design.rst, "Keys,
Encryption and MAC").

Sealed bytes are nonce (16) || ciphertext || code (16). The code's one-time key is r || AES-128_k(nonce).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backup.errors import DamagedError

if TYPE_CHECKING:
    from backup.format.cipher import Cipher

NONCE_LENGTH = 16
CODE_LENGTH = 16
OVERHEAD = NONCE_LENGTH + CODE_LENGTH
"""Bytes that sealing adds."""


@dataclass(frozen=True, slots=True)
class MasterKey:
    """What everything in a repository but its key files is sealed with. Shows nothing of itself."""

    encrypt: bytes = field(repr=False)
    """32 bytes."""
    mac_k: bytes = field(repr=False)
    """16 bytes."""
    mac_r: bytes = field(repr=False)
    """16 bytes; which bits of it count is Poly1305's affair."""

    def __post_init__(self) -> None:
        if (len(self.encrypt), len(self.mac_k), len(self.mac_r)) != (32, 16, 16):
            raise DamagedError("The repository's master key does not have 32, 16 and 16 bytes.")

    @classmethod
    def generate(cls) -> MasterKey:
        """A new random key."""
        return cls(os.urandom(32), os.urandom(16), os.urandom(16))

    def seal(self, plain: bytes | bytearray | memoryview) -> bytes:
        """Seal under a fresh nonce. For many at once, a Cipher is faster."""
        return _cipher(self).seal(plain)

    def open(self, sealed: bytes | bytearray | memoryview) -> bytes:
        """What was sealed. Raises DamagedError."""
        return _cipher(self).open(sealed)


def _cipher(key: MasterKey) -> Cipher:
    # OpenSSL takes as long to load as Python itself, and does so while a password's key is derived.
    from backup.format.cipher import Cipher

    return Cipher(key)
