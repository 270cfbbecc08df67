"""Where the metrics may be listened for: an address of the loopback interface, and a port. Pure."""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

DEFAULT_PORT = 9843
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})")


class Address(NamedTuple):
    """An address as the socket module takes it."""

    host: str
    port: int

    @property
    def family(self) -> socket.AddressFamily:
        """IPv4 or IPv6."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


DEFAULT = Address("127.0.0.1", DEFAULT_PORT)


def parse(text: str) -> Address:
    """`127.0.0.1:9843` or `[::1]:9843`. Raises ValueError, with a sentence, also for what others could reach."""
    match = _ADDRESS.fullmatch(text)
    address = Address(match[1] or match[2], int(match[3])) if match else None
    if address is None or not 1 <= address.port <= 65535 or not is_loopback(address.host):
        raise ValueError("expected an address of this host alone with a port, such as 127.0.0.1:9843 or [::1]:9843")
    return address


def is_loopback(host: str) -> bool:
    """Whether a numeric address is one that other hosts cannot reach."""
    try:
        if ":" in host:
            return socket.inet_pton(socket.AF_INET6, host) == bytes(15) + b"\x01"
        return socket.inet_pton(socket.AF_INET, host)[0] == 127
    except OSError:
        return False
