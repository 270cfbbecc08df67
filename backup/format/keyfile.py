"""Key files: the master key, sealed with one that scrypt derives from a password (doc/design.rst, "Keys").

They are plain JSON and the only files that are not sealed as a whole, so anyone who can write to the store can offer
any content: the cost that a file may ask for is bounded.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from backup.errors import DamagedError, WrongPasswordError
from backup.format.crypto import MasterKey
from backup.format.gotime import Moment, format_moment, parse_moment
from backup.scrypt import scrypt

_SALT = 64
_MEMORY_LIMIT = 1 << 30
_WORK_LIMIT = 1 << 32
"""N * r * p * 128 bytes that are read and written: some 10 seconds."""


class Cost(NamedTuple):
    """Parameters of scrypt (RFC 7914): memory is 128 * n * r bytes, work p times that."""

    n: int
    r: int
    p: int

    @property
    def work(self) -> int:
        """In proportion to the time it takes."""
        return self.n * self.r * self.p


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One password's way to the master key. Nothing in it is secret without the password."""

    created: Moment
    username: str
    hostname: str
    cost: Cost
    salt: bytes
    data: bytes
    """The master key as JSON, sealed."""


class _Stored(msgspec.Struct):
    created: str
    username: str
    hostname: str
    kdf: str
    N: int
    r: int
    p: int
    salt: str
    data: str


class _Mac(msgspec.Struct):
    k: str
    r: str


class _Master(msgspec.Struct):
    mac: _Mac
    encrypt: str


def derive(password: bytes, salt: bytes, cost: Cost) -> MasterKey:
    """The key that a password opens a key file with. Raises DamagedError for a cost beyond all reason."""
    n, r, p = cost
    if not (1 < n <= 1 << 30 and n & (n - 1) == 0 and 0 < r <= 1 << 16 and 0 < p <= 1 << 16):
        raise DamagedError(f"a key file asks for scrypt with N={n} r={r} p={p}, which cannot be")
    if 128 * n * r > _MEMORY_LIMIT or 128 * n * r * p > _WORK_LIMIT:
        raise DamagedError(
            f"a key file asks for scrypt with N={n} r={r} p={p}; expected at most 1 GiB and 4 GiB of work"
        )
    try:
        derived = scrypt(password, salt, n, r, p, _MEMORY_LIMIT + (1 << 24))
    except (ValueError, RuntimeError, MemoryError):
        raise DamagedError(
            f"a key file asks for scrypt with N={n} r={r} p={p}, which takes more memory than there is"
        ) from None
    return MasterKey(derived[:32], derived[32:48], derived[48:])


def new_key_file(
    master: MasterKey,
    password: bytes,
    *,
    created: Moment,
    username: str,
    hostname: str,
    cost: Cost,
    random: Callable[[int], bytes],
) -> KeyFile:
    """A key file by which `password` opens `master`."""
    salt = random(_SALT)
    return KeyFile(created, username, hostname, cost, salt, derive(password, salt, cost).seal(encode_master(master)))


def open_key_file(file: KeyFile, password: bytes) -> MasterKey:
    """The master key. Raises WrongPasswordError, and DamagedError for what cannot be a key file."""
    user = derive(password, file.salt, file.cost)
    try:
        plain = user.open(file.data)
    except DamagedError:
        raise WrongPasswordError("wrong password") from None
    return parse_master(plain)


def encode_key_file(file: KeyFile) -> bytes:
    """As restic writes it."""
    return msgspec.json.encode(
        _Stored(
            format_moment(file.created),
            file.username,
            file.hostname,
            "scrypt",
            *file.cost,
            base64.b64encode(file.salt).decode(),
            base64.b64encode(file.data).decode(),
        )
    )


def parse_key_file(data: bytes) -> KeyFile:
    """The reverse. Raises DamagedError."""
    try:
        stored = msgspec.json.decode(data, type=_Stored)
        salt, sealed = (base64.b64decode(text, validate=True) for text in (stored.salt, stored.data))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DamagedError(f"a key file that is not one: {error}") from None
    if stored.kdf != "scrypt":
        raise DamagedError(f'a key file asks for "{stored.kdf[:40]}"; expected "scrypt"')
    if len(salt) != _SALT:
        raise DamagedError(f"a key file has a salt of {len(salt)} bytes; expected {_SALT}")
    return KeyFile(
        parse_moment(stored.created),
        stored.username,
        stored.hostname,
        Cost(stored.N, stored.r, stored.p),
        salt,
        sealed,
    )


def encode_master(master: MasterKey) -> bytes:
    """The master key as JSON: secret."""
    mac = _Mac(base64.b64encode(master.mac_k).decode(), base64.b64encode(master.mac_r).decode())
    return msgspec.json.encode(_Master(mac, base64.b64encode(master.encrypt).decode()))


def parse_master(data: bytes) -> MasterKey:
    """The reverse. Raises DamagedError, which says nothing of the content."""
    try:
        stored = msgspec.json.decode(data, type=_Master)
        encrypt, k, r = (
            base64.b64decode(text, validate=True) for text in (stored.encrypt, stored.mac.k, stored.mac.r)
        )
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise DamagedError("a key file opens with the password, but does not hold a key") from None
    if (len(encrypt), len(k), len(r)) != (32, 16, 16) or not any(encrypt) or not any(k) or not any(r):
        raise DamagedError("a key file opens with the password, but does not hold a key")
    return MasterKey(encrypt, k, r)
