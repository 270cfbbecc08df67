"""Serves the metrics over HTTP, in one thread of its own.

The thread shares nothing with the daemon's loop but what `answer` reads. So whatever hangs in a scrape (a driver, a
file system) hangs here alone, and one scrape at a time is made. Connections are few, and each has its time limits:
when there are too many, the one that has been silent for the longest makes room.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import selectors
import socket
import threading
import time
import zlib
from collections.abc import Callable
from http import HTTPStatus

from agent.metrics import request
from agent.metrics.request import RefusedError, Request

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 16
HEAD_TIME = 10.0
"""Seconds from a request's first byte to the end of its head."""
PAUSE = 0.1
"""Seconds without a new connection after one that could not be accepted, as while descriptors have run out."""
SEND_TIME = 30.0
"""Seconds for an answer to be taken."""
IDLE_TIME = 150.0
"""Seconds between requests: longer than the usual intervals of a scraper, who then keeps its connection."""
FRESH = 0.5
"""Seconds for which an answer is given again: whoever asks in a loop costs no more than two scrapes a second."""
TEXT = {"Content-Type": "text/plain; charset=utf-8"}
PAGE = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Hostward agent</title></head>
<body><h1>Hostward agent</h1><p><a href="/metrics">Metrics</a></p></body></html>
"""

Answer = tuple[str, bytes]
"""Content type and text of the metrics."""


class Server:
    """A thread that answers on a listening socket until `stop`; the socket is the server's."""

    def __init__(self, listener: socket.socket, answer: Callable[[], Answer]) -> None:
        """Raises OSError where descriptors have run out, and then the listener is closed."""
        self._listener = listener
        self._answer = answer
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(listener.close)
            self._selector = selectors.DefaultSelector()
            on_failure.callback(self._selector.close)
            self._reader, self._writer = socket.socketpair()
            on_failure.pop_all()
        self._connections: dict[socket.socket, _Connection] = {}
        self._last: tuple[float, Answer] | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to answer. Raises OSError where there can be no other thread, and then all is closed."""
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._reader, selectors.EVENT_READ)
        try:
            self._thread.start()
        except RuntimeError as error:  # the limit on the unit's tasks
            self._close_all()
            raise OSError(errno.EAGAIN, "no thread can be started") from error

    def stop(self, timeout: float) -> None:
        """Free the port and end the thread; one that hangs in a scrape is left behind after `timeout` seconds."""
        self._stopping = True
        with contextlib.suppress(OSError):  # the thread has ended since, after an earlier call
            self._writer.send(b"\0")
        self._thread.join(timeout)
        if self._thread.is_alive():
            # The address is free for the next one also while the thread hangs.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            while not self._stopping:
                for key, events in self._selector.select(self._patience()):
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj in self._connections:  # and was not closed to make room a moment ago
                        self._serve(key.data, events)
                self._end_overdue()
        finally:
            self._close_all()

    def _close_all(self) -> None:
        for connection in list(self._connections.values()):
            self._close(connection)
        self._selector.close()
        for end in (self._listener, self._reader, self._writer):
            end.close()

    def _patience(self) -> float | None:
        deadline = min((each.deadline for each in self._connections.values()), default=None)
        return None if deadline is None else max(0.0, deadline - time.monotonic())

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError as error:  # it is gone again, or descriptors have run out: others may be closed meanwhile
            log.debug("metrics: a connection was not accepted: %s", error)
            self._make_room(1)
            time.sleep(PAUSE)  # it still waits, so the listener stays readable
            return
        client.setblocking(False)
        self._make_room(MOST_CONNECTIONS)
        connection = _Connection(client)
        self._connections[client] = connection
        self._selector.register(client, selectors.EVENT_READ, connection)

    def _make_room(self, most: int) -> None:
        while len(self._connections) >= most:
            self._close(min(self._connections.values(), key=lambda each: each.heard))

    def _serve(self, connection: _Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_READ and not connection.receive():
                self._close(connection)
                return
            connection.send()
            while not connection.out and (found := connection.next_request()) is not None:
                self._reply(connection, found)
                connection.send()
        except OSError:  # the client is gone
            self._close(connection)
            return
        if connection.out:
            self._selector.modify(connection.socket, selectors.EVENT_WRITE, connection)
        elif connection.ending:
            self._close(connection)
        else:
            self._selector.modify(connection.socket, selectors.EVENT_READ, connection)

    def _reply(self, connection: _Connection, found: Request | HTTPStatus) -> None:
        status, headers, body = HTTPStatus.OK, TEXT, b""
        keep = isinstance(found, Request) and found.keep
        if isinstance(found, HTTPStatus):
            status = found
        elif found.method not in ("GET", "HEAD"):
            status, headers = HTTPStatus.METHOD_NOT_ALLOWED, {**TEXT, "Allow": "GET, HEAD"}
        elif found.path == "/metrics":
            try:
                headers, body = self._metrics(gzip=found.gzip)
            except Exception as error:  # nothing that a scrape meets may end the thread
                log.warning("metrics: no answer could be made: %s: %s", type(error).__name__, error)
                status = HTTPStatus.INTERNAL_SERVER_ERROR
        elif found.path == "/":
            headers, body = {"Content-Type": "text/html; charset=utf-8"}, PAGE
        else:
            status = HTTPStatus.NOT_FOUND
        if status is not HTTPStatus.OK:
            body = f"{status.value} {status.phrase}\n".encode()
        head = request.head(status, headers, len(body), keep=keep)
        connection.reply(head if isinstance(found, Request) and found.method == "HEAD" else head + body, keep=keep)

    def _metrics(self, *, gzip: bool) -> tuple[dict[str, str], bytes]:
        now = time.monotonic()
        if self._last is None or now - self._last[0] > FRESH:
            self._last = (now, self._answer())
        kind, body = self._last[1]
        headers = {"Content-Type": kind, "Vary": "Accept-Encoding", "Cache-Control": "no-store"}
        if gzip:
            headers["Content-Encoding"] = "gzip"
            packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS, memLevel=6)
            body = packer.compress(body) + packer.flush()
        return headers, body

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for connection in [each for each in self._connections.values() if each.deadline <= now]:
            self._close(connection)

    def _close(self, connection: _Connection) -> None:
        del self._connections[connection.socket]
        self._selector.unregister(connection.socket)
        connection.socket.close()


class _Connection:
    """A client: what it has sent and not been answered, and what it has not taken yet."""

    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        self.out = b""
        self.ending = False
        """Whether it is closed when it has taken what is there."""
        self.heard = time.monotonic()
        self.deadline = self.heard + HEAD_TIME
        self._in = b""

    def receive(self) -> bool:
        """Take what has come; False at the end. Raises OSError."""
        data = self.socket.recv(request.MOST)
        self.heard = time.monotonic()
        if data and not self._in:
            self.deadline = self.heard + HEAD_TIME
        self._in += data
        return bool(data)

    def next_request(self) -> Request | HTTPStatus | None:
        """The next one that is there as a whole, or why it is refused."""
        if self.ending or not self._in:
            return None
        try:
            found = request.parse(self._in)
        except RefusedError as error:
            return error.status
        if found is None:
            return None
        self._in = self._in[found[1] :]
        return found[0]

    def reply(self, answer: bytes, *, keep: bool) -> None:
        """Begin to send."""
        self.out = answer
        self.ending = not keep
        self.deadline = time.monotonic() + SEND_TIME

    def send(self) -> None:
        """As much as the client takes now. Raises OSError."""
        if not self.out:
            return
        with contextlib.suppress(BlockingIOError):
            self.out = self.out[self.socket.send(self.out) :]
        if not self.out:
            self.deadline = time.monotonic() + (HEAD_TIME if self._in else IDLE_TIME)
