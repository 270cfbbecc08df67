"""Telling systemd how the service stands: sd_notify(3), a datagram to the socket that NOTIFY_SOCKET names."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time

_POSITIVE = re.compile(r"0*[1-9][0-9]{0,18}")


class Notifier:
    """Says nothing where nobody listens, and never fails: the service must not end for want of a listener."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")  # A child must not speak for the agent.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        period = os.environ.pop("WATCHDOG_USEC", "")
        meant = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog: float | None = int(period) / 1e6 if meant and _POSITIVE.fullmatch(period) else None
        """Seconds within which systemd wants to hear `alive`, None when it does not watch."""

    def ready(self) -> None:
        """The service is up, or up again after `reloading`."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def alive(self) -> None:
        """The loop turns."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service is about to end."""
        self._send("STOPPING=1")

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto("\n".join(assignments).encode(), socket.MSG_DONTWAIT, self._address)
