"""`hostward-collector serve`: the server itself."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import logging
import resource
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from collector import tls
from collector.app import create_app
from collector.cli.command import DATABASE, Command
from collector.cli.init import locked
from collector.metrics.embedded import EmbeddedHistory
from collector.settings import load_settings
from collector.store.database import open_database
from kit.errors import HostwardError

KEEP_ALIVE = 75
"""Seconds that an idle connection is kept: hosts report every 15 s, and a new one costs a TLS handshake."""
DRAIN = 10
"""Seconds that requests under way have when the server is told to stop."""
RENEWAL_EVERY = 6 * 3600.0

log = logging.getLogger("collector")


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8443, help="0 takes a free one (8443)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="instead of /etc/hostward/collector.toml")


def _run(options: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    settings = load_settings(options.config)
    folder: Path = options.data_dir
    _raise_file_limit()
    with locked(folder):
        database = open_database(folder / DATABASE, upgrade=True)
        try:
            tls.renew_server_certificate(folder, datetime.datetime.now(datetime.UTC))
            context = tls.server_context(folder)
            with _listening(options.host, options.port) as listener:
                app = create_app(database, EmbeddedHistory(settings.bounds()))
                config = uvicorn.Config(
                    app,
                    http="httptools",
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
                config.ssl = context
                server = _Server(config, url=_url(options.host, listener), context=context, folder=folder)
                uvloop.run(server.serve(sockets=[listener]))
        finally:
            database.close()
    return 0


class _Server(uvicorn.Server):
    """Says where it listens once it does, ends with exit code 0 on a signal, and renews its certificate."""

    def __init__(self, config: uvicorn.Config, *, url: str, context: ssl.SSLContext, folder: Path) -> None:
        super().__init__(config)
        self._url = url
        self._context = context
        self._folder = folder

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        print(f"Hostward collector ready at {self._url}", flush=True)

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
        while True:
            await asyncio.sleep(RENEWAL_EVERY)
            try:
                if tls.renew_server_certificate(self._folder, datetime.datetime.now(datetime.UTC)):
                    tls.load_server_certificate(self._context, self._folder)
                    log.info("renewed the server certificate")
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


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket. Raises HostwardError where it cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        raise HostwardError(f"{host}, port {port} is no address to listen at: {error}") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except (OSError, OverflowError) as error:
            raise HostwardError(f"cannot listen at {host}, port {port}: {error}") from error
        yield listener


def _url(host: str, listener: socket.socket) -> str:
    name = socket.gethostname() if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - compared, not bound
    return f"https://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"


def _raise_file_limit() -> None:
    """A connection is a file, and the usual limit of 1,024 is a fleet of 900 hosts."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


SERVE = Command(
    run=_run,
    configure=_configure,
    examples="""\
  hostward-collector serve
  hostward-collector serve --host 0.0.0.0 --port 8443""",
)
