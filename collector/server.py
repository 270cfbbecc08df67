"""uvicorn, made strict: clients that stop half-way are not waited for, and its certificate renews itself."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from collector import tls
from collector.bounds import EXTENSION, WIDEN
from collector.doorkeeper import Bounds, Doorkeeper
from kit.errors import HostwardError

KEEP_ALIVE = 75
"""Seconds that an idle connection is kept: hosts report every 15 s, and a new one costs a TLS handshake."""
DRAIN = 10
"""Seconds that requests under way have when the server is told to stop."""
HEAD_TIMEOUT = 20.0
"""Seconds in which the head of a request must have come."""
MAX_HEAD = 1 << 16
"""Bytes of the head of a request."""
REQUEST_TIMEOUT = 60.0
"""Seconds in which the whole of a request must have come, also where nobody waits for its body."""
MAX_REQUEST = 4 << 20
"""Bytes of a whole request, with what frames its body and the trailers behind it; no body has a fourth of that."""
LOOK_EVERY = 30.0
"""Seconds between two looks at the server certificate."""
GARBAGE = 20_000
"""Objects that are made before a look for unreachable cycles: a request makes hundreds, and hardly a cycle."""

log = logging.getLogger(__name__)


def serve(app: ASGIApp, listener: socket.socket, folder: Path, *, bounds: Bounds, ready: Callable[[], None]) -> None:
    """Serve `app` over TLS until SIGTERM or SIGINT, with the certificate in `folder`.

    `ready` is called once connections are taken. Raises HostwardError where the certificate cannot be used.
    """
    tls.renew_server_certificate(folder, datetime.datetime.now(datetime.UTC))
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN,
    )
    config.load()
    config.ssl = tls.server_context(folder)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Server(config, listener, folder=folder, bounds=bounds, ready=ready).serve())


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket; port 0 is a free one. Raises HostwardError where it cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, OverflowError, UnicodeError) as error:
        raise HostwardError(f"{host}, port {port}, is no address to listen at: {error}") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except (OSError, OverflowError) as error:
            raise HostwardError(f"cannot listen at {host}, port {port}: {error}") from error
        yield listener


class Protocol(HttpToolsProtocol):
    """Bounds a request, in time and size, and its head more tightly; uvicorn bounds neither with this parser."""

    _size: int | None = 0
    """Bytes of the request that is coming; None while none is."""
    _most = MAX_HEAD
    """Bytes that it may have so far."""
    _number = 0
    """How many requests have begun on this connection."""
    _deadline: asyncio.TimerHandle | None = None
    gone: Callable[[], None] = staticmethod(lambda: None)
    """Called when the connection has ended."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client came."""
        super().connection_made(transport)
        self._expect_end(HEAD_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        """It went."""
        self._stop_waiting()
        self.gone()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some of what it sends."""
        super().data_received(data)
        if self._size is None or self.transport.is_closing():
            return
        self._size += len(data)
        if self._size > self._most:
            if self._most == MAX_HEAD:
                self.send_400_response("The request's head is too large.")
            else:
                self.transport.close()  # its answer may be under way, and another one must not come in between

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._number += 1
        self._size, self._most = 0, MAX_HEAD
        self._expect_end(HEAD_TIMEOUT)

    def on_headers_complete(self) -> None:
        """Its head is complete."""
        self._most = MAX_REQUEST
        self._expect_end(REQUEST_TIMEOUT)
        self.scope["extensions"] = {EXTENSION: {WIDEN: partial(self._widen, self._number)}}
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is here."""
        self._size = None
        self._stop_waiting()
        super().on_message_complete()

    def _widen(self, number: int, size: int, seconds: float) -> None:
        """The application knows who sends request `number`, and lets its body have `size` bytes: bounds.py."""
        if number == self._number and self._size is not None:
            self._most = MAX_REQUEST + size
            self._expect_end(seconds)

    def _expect_end(self, seconds: float) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Server(uvicorn.Server):
    """Tells when it listens, ends without an error on a signal, and renews its certificate."""

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        *,
        folder: Path,
        bounds: Bounds,
        ready: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._listener = listener
        self._folder = folder
        self._bounds = bounds
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup([])  # what is needed before anybody may come in
        assert self.config.ssl is not None
        door = Doorkeeper(self._listener, self._make_protocol, context=self.config.ssl, bounds=self._bounds)
        self.servers: list[Any] = [door]
        # What is here now stays until the end: no look for garbage needs to go over it again.
        gc.freeze()
        gc.set_threshold(GARBAGE, *gc.get_threshold()[1:])
        self._ready()

    def _make_protocol(self, gone: Callable[[], None]) -> Protocol:
        protocol = Protocol(self.config, self.server_state, self.lifespan.state)
        protocol.gone = gone
        return protocol

    async def main_loop(self) -> None:
        """Until a signal."""
        async with _beside(self._renew()):
            await super().main_loop()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn would raise the signal again at the end, and the process would seem to have died of it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def _renew(self) -> None:
        loaded = tls.server_certificate_stamp(self._folder)
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                tls.renew_server_certificate(self._folder, datetime.datetime.now(datetime.UTC))
                # Also where a command has issued one with more names.
                found = tls.server_certificate_stamp(self._folder)
                if found != loaded:
                    assert self.config.ssl is not None
                    tls.load_server_certificate(self.config.ssl, self._folder)
                    loaded = found
                    log.info("took the new server certificate")
            except HostwardError as error:
                log.error("the server certificate could not be renewed: %s", error)


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `work` while the block runs."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
