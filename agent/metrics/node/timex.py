"""How the kernel keeps the clock in step."""

from __future__ import annotations

import ctypes
import os

from agent.metrics.family import Family, counter, gauge
from agent.paths import System

TIME_ERROR = 5
"""What adjtimex(2) returns for a clock that nobody keeps in step."""
STA_NANO = 0x2000
PPM = 65536e6
"""Frequencies are in parts per million with 16 bits behind the point."""
_NAMES = ("offset", "freq", "maxerror", "esterror", "status", "constant", "precision", "tolerance")
_PULSE = ("ppsfreq", "jitter", "shift", "stabil", "jitcnt", "calcnt", "errcnt", "stbcnt", "tai")
_INTS = frozenset({"status", "shift", "tai"})


class _Timex(ctypes.Structure):
    """struct timex of <sys/timex.h>."""

    _fields_ = [
        ("modes", ctypes.c_int),
        *((name, ctypes.c_int if name in _INTS else ctypes.c_long) for name in _NAMES),
        ("seconds", ctypes.c_long),
        ("fraction", ctypes.c_long),
        ("tick", ctypes.c_long),
        *((name, ctypes.c_int if name in _INTS else ctypes.c_long) for name in _PULSE),
        ("reserved", ctypes.c_int * 11),
    ]


def collect(system: System) -> list[Family]:
    """adjtimex(2), which anybody may ask. Raises OSError."""
    timex = _Timex()
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.byref(timex))
    if state < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    unit = 1e9 if timex.status & STA_NANO else 1e6
    name = "node_timex_"
    return [
        gauge(
            f"{name}sync_status",
            "Is clock synchronized to a reliable server (1 = yes, 0 = no).",
            int(state != TIME_ERROR),
        ),
        gauge(
            f"{name}offset_seconds", "Time offset in between local system and reference clock.", timex.offset / unit
        ),
        gauge(f"{name}frequency_adjustment_ratio", "Local clock frequency adjustment.", 1 + timex.freq / PPM),
        gauge(f"{name}maxerror_seconds", "Maximum error in seconds.", timex.maxerror / 1e6),
        gauge(f"{name}estimated_error_seconds", "Estimated error in seconds.", timex.esterror / 1e6),
        gauge(f"{name}status", "Value of the status array bits.", timex.status),
        gauge(f"{name}loop_time_constant", "Phase-locked loop time constant.", timex.constant),
        gauge(f"{name}tick_seconds", "Seconds between clock ticks.", timex.tick / 1e6),
        gauge(f"{name}pps_frequency_hertz", "Pulse per second frequency.", timex.ppsfreq / PPM),
        gauge(f"{name}pps_jitter_seconds", "Pulse per second jitter.", timex.jitter / unit),
        gauge(f"{name}pps_shift_seconds", "Pulse per second interval duration.", timex.shift),
        gauge(
            f"{name}pps_stability_hertz",
            "Pulse per second stability, average of recent frequency changes.",
            timex.stabil / PPM,
        ),
        counter(f"{name}pps_jitter_total", "Pulse per second count of jitter limit exceeded events.", timex.jitcnt),
        counter(f"{name}pps_calibration_total", "Pulse per second count of calibration intervals.", timex.calcnt),
        counter(f"{name}pps_error_total", "Pulse per second count of calibration errors.", timex.errcnt),
        counter(
            f"{name}pps_stability_exceeded_total",
            "Pulse per second count of stability limit exceeded events.",
            timex.stbcnt,
        ),
        gauge(f"{name}tai_offset_seconds", "International Atomic Time (TAI) offset.", timex.tai),
    ]
