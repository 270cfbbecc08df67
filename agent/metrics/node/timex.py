"""How the kernel keeps the clock in step."""

from __future__ import annotations

from agent.metrics.family import Family, counter, gauge
from agent.metrics.files import NoDataError
from agent.paths import System
from agent.timex import TIME_ERROR, read_timex

PPM = 65536e6
"""Frequencies are in parts per million with 16 bits behind the point."""


def collect(system: System) -> list[Family]:
    """adjtimex(2), which anybody may ask, but for a unit whose sandbox forbids it. Raises OSError."""
    try:
        state, timex = read_timex()
    except PermissionError:
        raise NoDataError from None
    name = "node_timex_"
    return [
        gauge(
            f"{name}sync_status",
            "Is clock synchronized to a reliable server (1 = yes, 0 = no).",
            int(state != TIME_ERROR),
        ),
        gauge(
            f"{name}offset_seconds",
            "Time offset in between local system and reference clock.",
            timex.offset * timex.unit,
        ),
        gauge(f"{name}frequency_adjustment_ratio", "Local clock frequency adjustment.", 1 + timex.freq / PPM),
        gauge(f"{name}maxerror_seconds", "Maximum error in seconds.", timex.maxerror / 1e6),
        gauge(f"{name}estimated_error_seconds", "Estimated error in seconds.", timex.esterror / 1e6),
        gauge(f"{name}status", "Value of the status array bits.", timex.status),
        gauge(f"{name}loop_time_constant", "Phase-locked loop time constant.", timex.constant),
        gauge(f"{name}tick_seconds", "Seconds between clock ticks.", timex.tick / 1e6),
        gauge(f"{name}pps_frequency_hertz", "Pulse per second frequency.", timex.ppsfreq / PPM),
        gauge(f"{name}pps_jitter_seconds", "Pulse per second jitter.", timex.jitter * timex.unit),
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
