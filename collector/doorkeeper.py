"""Takes connections, as many as there may be: in all, and from one address.

They are counted from the moment that they are accepted. A client that never begins TLS takes a descriptor too, and
what asyncio's own server has accepted is not seen by anybody until its handshake is done.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable

import msgspec

from collector.rules.login import network

HANDSHAKE = 15.0
"""Seconds in which a client must have finished the TLS handshake."""
GOODBYE = 1.0
"""Seconds that a client has to answer the end of its connection; one that is idle does not."""
BACKLOG = 2048
"""Connections that the kernel keeps until they are accepted."""
PAUSE = 1.0
"""Seconds without accepting, after the system had no room for another connection."""
REMIND = 60.0
"""Seconds between two lines of the log about connections that were refused."""

log = logging.getLogger(__name__)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How many connections may be open."""

    total: int = 10_000
    per_address: int = 2_000
    """From one IPv4 address, or one /64 of IPv6."""


class Doorkeeper:
    """A server for uvicorn to close. Made and used on the event loop."""

    def __init__(
        self,
        listener: socket.socket,
        make: Callable[[Callable[[], None]], asyncio.Protocol],
        *,
        context: ssl.SSLContext,
        bounds: Bounds,
    ) -> None:
        """`make` gives a protocol, which calls what it is given when its connection has ended. `listener` is
        bound, and closed with this one.
        """
        self._listener = listener
        self._make = make
        self._context = context
        self._bounds = bounds
        self._open: Counter[str] = Counter()
        self._total = 0
        self._refused = 0
        self._told = 0.0
        self._loop = asyncio.get_running_loop()
        self._welcoming: set[asyncio.Task[None]] = set()
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._accepting = self._loop.create_task(self._accept())

    def close(self) -> None:
        """Take no more connections."""
        self._accepting.cancel()
        self._listener.close()

    async def wait_closed(self) -> None:
        """Until no more can come."""
        await asyncio.wait([self._accepting])

    async def _accept(self) -> None:
        while True:
            try:
                connection, address = await self._loop.sock_accept(self._listener)
            except ConnectionError:  # it was gone before it was taken
                continue
            except OSError as error:
                log.error("no connection can be taken: %s", error)
                await asyncio.sleep(PAUSE)
                continue
            where = network(address[0])
            if self._total >= self._bounds.total or self._open[where] >= self._bounds.per_address:
                connection.close()
                self._note_refusal(where)
                continue
            self._total += 1
            self._open[where] += 1
            task = self._loop.create_task(self._welcome(connection, where))
            self._welcoming.add(task)
            task.add_done_callback(self._welcoming.discard)

    async def _welcome(self, connection: socket.socket, where: str) -> None:
        """TLS, and then the protocol."""
        here = True

        def leave() -> None:
            nonlocal here
            if here:
                here = False
                self._total -= 1
                self._open[where] -= 1
                if not self._open[where]:
                    del self._open[where]

        try:
            await self._loop.connect_accepted_socket(
                lambda: self._make(leave),
                connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE,
                ssl_shutdown_timeout=GOODBYE,
            )
        except OSError:  # no TLS, not in time, or gone: that of ssl and that of time are OSErrors as well
            leave()
            connection.close()
        except BaseException:
            leave()
            connection.close()
            raise

    def _note_refusal(self, where: str) -> None:
        self._refused += 1
        now = self._loop.time()
        if now - self._told < REMIND and self._told:
            return
        log.warning(
            "%d connections were refused, the last from %s: %d are open, %d of them from there",
            self._refused,
            where,
            self._total,
            self._open[where],
        )
        self._refused, self._told = 0, now
