"""Hosts and series to show."""

from __future__ import annotations

from typing import Any

from collector.api.shapes import Highlight, HostState, HostSummary, Series

NOW = 1_800_000_000.0


def summary(name: str = "web1", state: HostState = "ok", **fields: Any) -> HostSummary:
    """A row of the fleet."""
    usual: dict[str, Any] = {
        "id": f"id-{name}",
        "name": name,
        "enrolled": NOW - 1000,
        "state": state,
        "since": NOW - 100,
        "message": f"{name} is {state}",
        "last_received": NOW,
        "interval": 15.0,
        "agent": "0.1.0",
        "facts": {"os": "Debian GNU/Linux 12 (bookworm)"},
        "counts": {"ok": 1, "warning": 0, "critical": 0, "unknown": 0},
        "highlights": [Highlight(key="cpu", state="ok", value=12.5, text="12 %", message="12.5 % used")],
    }
    return HostSummary(**{**usual, **fields})


def series(name: str, check: str = "check", unit: str = "", **labels: str) -> Series:
    """A series of two samples."""
    return Series(check=check, name=name, unit=unit, labels=labels, times=[0.0, 30.0], values=[1.0, None])
