"""Connections that are lost and made again.

The connector is asked, and not pyinfra's host: for whoever listens to that, a host connects once.
"""

from __future__ import annotations

import time
from contextlib import suppress

from paramiko import SSHException
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.host import Host
from pyinfra.connectors.util import clear_askpass_cache

LOST = (OSError, EOFError, SSHException)
"""What a connection raises that is gone."""
PAUSE = 1.0
"""Seconds between two tries."""


def reconnect(host: Host, limit: float) -> bool:
    """Connect anew, trying for `limit` seconds. Returns whether that went well."""
    drop(host)
    end = time.monotonic() + limit
    while True:
        with suppress(ConnectError, *LOST):
            host.connector.connect()
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(PAUSE)


def drop(host: Host) -> None:
    """Close the connection: pyinfra itself leaves the client of ssh open."""
    # What it had put on the host for sudo's password is no longer there after a boot.
    clear_askpass_cache(host)
    client = getattr(host.connector, "client", None)
    if client is not None:
        client.close()
