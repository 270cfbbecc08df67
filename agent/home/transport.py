"""One kept HTTPS connection to the collector, which trusts the collector's CA and nothing else.

Plain http.client: no proxy and no certificate bundle of the environment has a say. Each request has one deadline
for all of it, so that an answer that drips in byte by byte ends like one that never comes.
"""

from __future__ import annotations

import errno
import http.client
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from kit.terminal import clean
from kit.version import __version__

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

MAX_ANSWER = 64 * 1024
"""Bytes of a body that are read; home's answers have a few hundred."""


class TransportError(Exception):
    """No answer came; `str(error)` is one clear sentence."""


class KeptConnectionError(TransportError):
    """The other end had closed the connection that was kept from an earlier request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    retry_after: str | None
    """The header of that name."""


class Transport:
    """A connection that is opened when it is needed and kept while it works. For one thread."""

    def __init__(self, collector: str, ca: Path, *, timeout: float) -> None:
        """`collector` is `https://HOST[:PORT]`, `ca` a PEM file, `timeout` seconds for a whole request.

        Raises TransportError when the CA cannot be used.
        """
        parts = urlsplit(collector)
        self._host = parts.hostname or ""
        self._port = parts.port or 443
        self._ca = ca
        self._timeout = timeout
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.sslsocket_class = _Socket
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self._context.load_verify_locations(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise TransportError(f"the CA {ca} cannot be used: {error.strerror or error}") from error
        self._connection: _Connection | None = None

    def post(self, target: str, body: bytes, headers: Mapping[str, str], *, timeout: float | None = None) -> Answer:
        """Send a request and read the answer, whatever its status. `timeout` shortens the transport's own.

        Raises TransportError, and KeptConnectionError where a new attempt at once makes sense; then the connection
        is closed.
        """
        seconds = self._timeout if timeout is None else min(timeout, self._timeout)
        deadline = time.monotonic() + seconds
        kept, self._connection = self._connection, None
        connection = kept or _Connection(self._host, self._port, self._context)
        try:
            connection.set_deadline(deadline)
            connection.request("POST", target, body, {"User-Agent": f"hostward/{__version__}", **headers})
            with connection.getresponse() as response:
                answer = Answer(response.status, response.read(MAX_ANSWER + 1), response.getheader("Retry-After"))
                if len(answer.body) > MAX_ANSWER:
                    raise TransportError(f"{self} answered with more than {MAX_ANSWER} bytes")
                if not response.will_close:
                    self._connection = connection
        except TransportError:
            raise
        except TimeoutError:
            raise TransportError(f"{self} did not answer within {seconds:g} s") from None
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            if kept is not None:
                raise KeptConnectionError(f"{self} closed the connection") from error
            raise TransportError(f"{self} cannot be reached: {_reason(error)}") from error
        except ssl.SSLCertVerificationError as error:
            raise TransportError(
                f"{self} is not trusted: {error.verify_message} (checked against {self._ca} and this host's clock)"
            ) from error
        except ssl.SSLError as error:
            raise TransportError(f"TLS with {self} failed: {error.reason or error}") from error
        except http.client.HTTPException as error:
            raise TransportError(f"{self} answered with what is not HTTP, or broke off: {_reason(error)}") from error
        except OSError as error:
            raise TransportError(f"{self} cannot be reached: {_reason(error)}") from error
        finally:
            if self._connection is None:
                connection.close()
        return answer

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __str__(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"the collector {host}:{self._port}"


class _Socket(ssl.SSLSocket):
    """A socket gives every call its full timeout again; this one has one deadline for all of them."""

    deadline: float

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Only wrap_socket calls this, for a connection that was reset before the handshake, and leaves it open."""
        try:
            return super().recv(buflen, flags)
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EINVAL):  # by which it tells one that is not connected
                self.close()
            raise

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        self.settimeout(_left(self.deadline))
        return super().send(data, flags)

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        self.settimeout(_left(self.deadline))
        return super().recv_into(buffer, nbytes, flags)


class _Connection(http.client.HTTPConnection):
    """HTTP over such a socket."""

    default_port = http.client.HTTPS_PORT
    sock: _Socket

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(host, port)
        self._context = context
        self._deadline = 0.0

    def set_deadline(self, deadline: float) -> None:
        """The end of the request that comes next, by time.monotonic."""
        self._deadline = deadline
        if self.sock is not None:
            self.sock.deadline = deadline

    def connect(self) -> None:
        self.timeout = _left(self._deadline)
        super().connect()
        self.sock.settimeout(_left(self._deadline))
        self.sock = cast(_Socket, self._context.wrap_socket(self.sock, server_hostname=self.host))
        self.sock.deadline = self._deadline


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _reason(error: Exception) -> str:
    """In one line: http.client quotes what the other end sent."""
    said = getattr(error, "strerror", None) or str(error)
    return clean(" ".join(said.split()))[:200] or type(error).__name__
