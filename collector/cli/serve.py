"""`hostward-collector serve`: the server itself."""

from __future__ import annotations

import argparse
import contextlib
import logging
import resource
import socket
from pathlib import Path

from collector.app import create_app
from collector.backups.places import Places
from collector.cli.init import locked
from collector.metrics.embedded import EmbeddedHistory
from collector.server import listening, serve
from collector.settings import load_settings
from collector.store.database import open_database, told
from collector.store.place import place_of
from kit.commands import Command


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8443, help="0 takes a free one (8443)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="instead of /etc/hostward/collector.toml")


def _run(options: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # It warns of every request that is no HTTP: anybody could fill the log.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    settings = load_settings(options.config)
    folder: Path = options.data_dir
    with locked(folder), listening(options.host, options.port) as listener:
        place = place_of(folder)
        database = open_database(place, upgrade=True)
        try:
            places = None if settings.backups is None else Places(settings.backups, folder)
            unverified = float(settings.backup_jobs.unverified)
            app = create_app(database, EmbeddedHistory(settings.bounds()), places=places, unverified=unverified)
            url = _url(options.host, listener)
            bounds = settings.connections.bounds(files=_raise_file_limit())
            with told(place), database.serving():
                serve(
                    app,
                    listener,
                    folder,
                    bounds=bounds,
                    ready=lambda: print(f"Hostward collector ready at {url}", flush=True),
                )
        finally:
            database.close()
    return 0


def _url(host: str, listener: socket.socket) -> str:
    name = socket.gethostname() if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - compared, not bound
    return f"https://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"


def _raise_file_limit() -> int:
    """A connection is a file, and the usual limit of 1,024 is a fleet of 900 hosts. Gives what it is now."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # a sandbox may not allow it, and a small fleet fits as well
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


SERVE = Command(
    run=_run,
    configure=_configure,
    examples="""\
  hostward-collector serve
  hostward-collector serve --host 0.0.0.0 --port 8443""",
)
