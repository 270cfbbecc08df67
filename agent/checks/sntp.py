"""One question to a time server and its answer: SNTP, RFC 5905 (section 14) and RFC 4330. Pure: bytes and times in.

    t1 ── request ──►  t2        offset = ((t2 - t1) + (t3 - t4)) / 2
    t4 ◄── answer ───  t3        delay  =  (t4 - t1) - (t3 - t2)

Of this host's clock nothing is told: the time that the request bears is random, as RFC 5905's revision recommends
(draft-ietf-ntp-data-minimization), and the answer must bear it again, so nobody who does not see it can answer.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

SIZE = 48
"""Bytes without extensions."""
PORT = 123
_PACKET = struct.Struct("!BBbbII4sQQQQ")
_CLIENT, _SERVER = 3, 4
_VERSION = 4
_EPOCH = 2_208_988_800
"""Seconds from 1900, where NTP begins to count, to 1970."""
_ERA = 1 << 32
"""Seconds after which the count begins anew, first in 2036."""
_FRACTION = 1 << 32
_UNSYNCHRONIZED = 3
"""The leap indicator of a clock that is not set."""
_STRATUM_MAX = 15
_KISS = re.compile(rb"[A-Z0-9]{4}")
_KISSES = {"RATE": "it is asked too often", "DENY": "access denied", "RSTR": "access restricted"}
"""RFC 5905, section 7.4: in a packet of stratum 0 the reference is a code of four letters."""


class SntpError(ValueError):
    """What came back is no answer; the text says what it is."""


class RefusedError(SntpError):
    """The server answered that it does not answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a time server said. Times are in seconds since the epoch."""

    stratum: int
    """How many servers there are up to a real clock; 1 for a server that has one."""
    synchronized: bool
    """Whether the server itself knows the time."""
    root_delay: float
    root_dispersion: float
    received: float
    """t2"""
    sent: float
    """t3"""

    def offset(self, asked: float, heard: float) -> float:
        """Seconds that the server is ahead of a clock that said `asked` (t1) and `heard` (t4)."""
        return ((self.received - asked) + (self.sent - heard)) / 2

    def delay(self, asked: float, heard: float) -> float:
        """Seconds that the packets travelled, never less than none."""
        return max(0.0, (heard - asked) - (self.sent - self.received))


def encode_request(cookie: int) -> bytes:
    """A request that bears `cookie`, 64 bits, as its time."""
    return _PACKET.pack(_VERSION << 3 | _CLIENT, 0, 0, 0, 0, 0, b"", 0, 0, 0, cookie)


def parse_answer(data: bytes, cookie: int, now: float) -> Answer:
    """The answer to the request that bore `cookie`. `now`, by which the era is found, may be 68 years off.

    Raises SntpError.
    """
    if len(data) < SIZE:
        raise SntpError(f"{len(data)} bytes, where an answer has {SIZE}")
    first, stratum, _, _, delay, dispersion, reference, _, origin, received, sent = _PACKET.unpack(data[:SIZE])
    if first & 7 != _SERVER or not 1 <= first >> 3 & 7 <= _VERSION:
        raise SntpError("not the answer of a time server")
    if origin != cookie:
        raise SntpError("the answer to another question")
    if stratum == 0 and _KISS.fullmatch(reference):
        code = reference.decode()
        raise RefusedError(f"the server refuses: {_KISSES.get(code, f'kiss code {code}')}")
    if not received or not sent:
        raise SntpError("an answer without a time")
    return Answer(
        stratum,
        first >> 6 != _UNSYNCHRONIZED and 1 <= stratum <= _STRATUM_MAX,
        delay / 65536,
        dispersion / 65536,
        _to_epoch(received, now),
        _to_epoch(sent, now),
    )


def _to_epoch(timestamp: int, now: float) -> float:
    """An NTP timestamp in the era that brings it next to `now`."""
    seconds = timestamp / _FRACTION - _EPOCH
    return seconds + round((now - seconds) / _ERA) * _ERA
