"""How often a password may be tried: after some failures each further one must wait longer, then it is locked."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

LOCKED = 900.0
"""Seconds that a lock lasts. Afterwards one attempt is free, and its failure locks again."""
FORGOTTEN = 3600.0
"""Seconds without a failure after which all is as if there had been none."""
SLOWEST = 60.0
"""Seconds that an attempt must wait at the most before the lock."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`free` failures cost nothing, each one after them twice the wait of the one before, and `most` are locked."""

    free: int
    most: int


ACCOUNT = Limit(free=3, most=10)
ADDRESS = Limit(free=10, most=50)
"""Behind one address there may be an office full of people."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """Failures of late, and when the last one was."""

    failures: int = 0
    last: float = 0.0


def wait(attempts: Attempts, limit: Limit, now: float) -> float:
    """Seconds until the next attempt may be made; 0 where it may be now."""
    attempts = remembered(attempts, now)
    if attempts.failures < limit.free:
        return 0.0
    slowed = min(2.0 ** min(attempts.failures - limit.free, 30), SLOWEST)
    pause = LOCKED if attempts.failures >= limit.most else slowed
    # A clock that was set back must not make the wait longer.
    return max(0.0, min(attempts.last + pause - now, pause))


def failed(attempts: Attempts, now: float) -> Attempts:
    """With one failure more."""
    return Attempts(remembered(attempts, now).failures + 1, now)


def remembered(attempts: Attempts, now: float) -> Attempts:
    """What counts still."""
    return Attempts() if now - attempts.last > FORGOTTEN else attempts


def network(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 one, which one person has whole."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found.packed[:8] + bytes(8), 64)))
    return str(found)
