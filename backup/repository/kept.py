"""A master key for the next run: in a key file of the same password, at a cost of milliseconds.

What a password's real key file costs keeps those out who have found a copy of the repository. A run that comes every
few minutes pays that anew each time, though it is given the password. So it may leave what this makes with somebody
who keeps it in memory and never writes it: whoever reads it there still has to guess the password, only faster.
"""

from __future__ import annotations

import os
from collections.abc import Container
from typing import Protocol

import msgspec

from backup.errors import DamagedError, WrongPasswordError
from backup.format.crypto import MasterKey
from backup.format.gotime import Moment
from backup.format.keyfile import Cost, encode_key_file, new_key_file, open_key_file, parse_key_file

_COST = Cost(4096, 8, 1)
"""4 MiB and some 10 milliseconds: a fortieth of what N=32768, r=8, p=5 is, which `calibrated_cost` comes to."""


class KeyKeeper(Protocol):
    """Whoever keeps it in memory from one run to the next."""

    def recall(self) -> bytes | None:
        """What was kept last; empty where nothing was, None where nothing can be."""

    def keep(self, kept: bytes) -> None:
        """Have it for the next run, if that can be."""


class _Kept(msgspec.Struct, array_like=True, frozen=True):
    name: str
    """Of the repository's own key file for this password."""
    file: bytes


def keep(name: str, master: MasterKey, password: bytes) -> bytes:
    """What `open_kept` takes: some 500 bytes."""
    file = new_key_file(
        master, password, created=Moment(0, 0), username="", hostname="", cost=_COST, random=os.urandom
    )
    return msgspec.msgpack.encode(_Kept(name, encode_key_file(file)))


def open_kept(kept: bytes, password: bytes, names: Container[str]) -> tuple[str, MasterKey] | None:
    """(name of the repository's key file, master key), which is to be tried on the config.

    None where this password does not open it, where it is none, and where the repository's own file for the password
    is not among `names` any more: a password that was taken away opens nothing.
    """
    try:
        found = msgspec.msgpack.decode(kept, type=_Kept)
        file = parse_key_file(found.file)
        if found.name not in names or file.cost != _COST:
            return None
        return found.name, open_key_file(file, password)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, DamagedError, WrongPasswordError):
        return None
