"""The file `config`: what a repository is. Sealed, but neither compressed nor prefixed (doc/design.rst).

Its polynomial belongs to restic's chunker. Ours does not use it, but restic does when it writes to the same
repository, and refuses one that is not irreducible and of degree 53.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from backup.errors import DamagedError
from backup.format.crypto import MasterKey

CONFIG = "config"
"""The file's name."""
VERSION = 2
_DEGREE = 53


class Config(msgspec.Struct, frozen=True):
    """What a repository is."""

    version: int
    id: str
    """Hexadecimal, of 32 random bytes."""
    chunker_polynomial: str
    """Hexadecimal; each bit is a coefficient."""


def new_config(random: Callable[[int], bytes]) -> Config:
    """The config of a new repository. `random` gives so many random bytes."""
    return Config(VERSION, random(32).hex(), f"{random_polynomial(random):x}")


def encode_config(config: Config) -> bytes:
    """As restic writes it."""
    return msgspec.json.encode(config)


def parse_config(data: bytes) -> Config:
    """The reverse. Raises DamagedError, also for a version of the format that is not ours."""
    try:
        config = msgspec.json.decode(data, type=Config)
        bytes.fromhex(config.id)
        int(config.chunker_polynomial, 16)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DamagedError(f"the repository's config is not one: {error}") from None
    if config.version == 1:
        raise DamagedError(
            "the repository has restic's old format, version 1; `restic migrate upgrade_repo_v2` makes it version 2"
        )
    if config.version != VERSION:
        raise DamagedError(f"the repository has version {config.version} of restic's format; expected 2")
    return config


def is_config_of(key: MasterKey, sealed: bytes) -> bool:
    """Whether the file is a config, of whatever version, that this key has sealed. Half of a key tells what it has
    sealed, and the other half what that was: a forged one may have the first alone.
    """
    try:
        msgspec.json.decode(key.open(sealed), type=Config)
    except (DamagedError, msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def random_polynomial(random: Callable[[int], bytes]) -> int:
    """An irreducible polynomial of degree 53 over GF(2). About one in 53 is."""
    while True:
        candidate = int.from_bytes(random(7), "big") & ((1 << _DEGREE) - 1) | 1 << _DEGREE | 1
        if is_irreducible(candidate):
            return candidate


def is_irreducible(polynomial: int) -> bool:
    """Rabin's test; 53 is prime, so one greatest common divisor is enough.

    M. O. Rabin, "Probabilistic algorithms in finite fields", SIAM J. Comput. 9 (1980): f of prime degree n is
    irreducible over GF(q) just when x^(q^n) = x mod f and gcd(f, x^q - x) = 1.
    """
    if polynomial.bit_length() - 1 != _DEGREE:
        return False
    power = 0b10
    for _ in range(_DEGREE):
        power = _remainder(_square(power), polynomial)
    if power != 0b10:
        return False
    a, b = polynomial, 0b110  # x^2 - x
    while b:
        a, b = b, _remainder(a, b)
    return a == 1


def _square(polynomial: int) -> int:
    # Over GF(2), squaring puts a zero between the coefficients.
    return int(f"{polynomial:b}", 4)


def _remainder(dividend: int, divisor: int) -> int:
    length = divisor.bit_length()
    while (excess := dividend.bit_length() - length) >= 0:
        dividend ^= divisor << excess
    return dividend
