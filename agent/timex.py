"""The kernel's word on its clock: adjtimex(2), asked without changing anything, which anybody may.

The call is forbidden where a unit has `ProtectClock=` or a `SystemCallFilter=` without `adjtimex`: to them it is one
that can set the clock.
"""

from __future__ import annotations

import ctypes
import os

STA_UNSYNC = 0x0040
STA_NANO = 0x2000
TIME_ERROR = 5
_LONGS = ("offset", "freq", "maxerror", "esterror", "status", "constant", "precision", "tolerance")
_PULSE = ("ppsfreq", "jitter", "shift", "stabil", "jitcnt", "calcnt", "errcnt", "stbcnt", "tai")
_INTS = frozenset({"status", "shift", "tai"})


class Timex(ctypes.Structure):
    """struct timex of <sys/timex.h>: maxerror and esterror in µs, offset and jitter as `unit` says."""

    _fields_ = [
        ("modes", ctypes.c_int),
        *((name, ctypes.c_int if name in _INTS else ctypes.c_long) for name in _LONGS),
        ("seconds", ctypes.c_long),
        ("fraction", ctypes.c_long),
        ("tick", ctypes.c_long),
        *((name, ctypes.c_int if name in _INTS else ctypes.c_long) for name in _PULSE),
        ("reserved", ctypes.c_int * 11),
    ]

    @property
    def unit(self) -> float:
        """What one of `offset` is, in seconds."""
        return 1e-9 if self.status & STA_NANO else 1e-6


def read_timex() -> tuple[int, Timex]:
    """The clock's state, TIME_ERROR for one that nobody keeps in step, and the details. Raises OSError."""
    timex = Timex()
    libc = ctypes.CDLL(None, use_errno=True)
    state = int(libc.adjtimex(ctypes.byref(timex)))
    if state < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return state, timex
