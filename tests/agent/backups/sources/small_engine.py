"""A container engine of a few lines, which speaks the API of Docker as far as volumes need it, over a Unix socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any


@dataclass
class Container:
    name: str
    volumes: tuple[str, ...]
    state: str = "running"
    auto_remove: bool = False


@dataclass
class SmallEngine:
    """What there is, and what was done."""

    socket: str
    volumes: list[dict[str, Any]] = field(default_factory=list)
    containers: dict[str, Container] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    """Actions, as `pause web`, that fail."""

    def volume(self, name: str, folder: Path, **labels: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.volumes.append({"Name": name, "Driver": "local", "Mountpoint": str(folder), "Labels": labels or None,
                             "Options": None, "Scope": "local", "CreatedAt": "2026-01-01T00:00:00Z"})  # fmt: skip

    def states(self) -> dict[str, str]:
        return {one.name: one.state for one in self.containers.values()}

    def get(self, path: str) -> tuple[int, Any]:
        if path == "/volumes":
            return 200, {"Volumes": self.volumes, "Warnings": None}
        if path.startswith("/containers/json"):
            return 200, [{"Id": id_, "Names": [f"/{one.name}"]} for id_, one in self.containers.items()]
        one = self.containers.get(path.split("/")[2])
        if one is None:
            return 404, {"message": "no such container"}
        mounts = [{"Type": "volume", "Name": name} for name in one.volumes]
        mounts.append({"Type": "bind", "Source": "/etc"})
        return 200, {"Id": "x", "State": {"Status": one.state}, "Mounts": mounts,
                     "HostConfig": {"AutoRemove": one.auto_remove}}  # fmt: skip

    def post(self, path: str) -> tuple[int, Any]:
        _, _, id_, verb = path.split("?")[0].split("/")
        one = self.containers.get(id_)
        if one is None:
            return 404, {"message": "no such container"}
        self.done.append(f"{verb} {one.name}")
        if f"{verb} {one.name}" in self.refuse:
            return 500, {"message": "cannot be"}
        moves = {
            ("pause", "running"): "paused",
            ("unpause", "paused"): "running",
            ("stop", "running"): "exited",
            ("start", "exited"): "running",
        }
        if (verb, one.state) in moves:
            one.state = moves[verb, one.state]
            return 204, None
        return (304, None) if verb in ("start", "stop") else (409, {"message": f"container is {one.state}"})


@contextmanager
def small_engine(socket: Path) -> Iterator[SmallEngine]:
    """One that listens at `socket`, whose path must be short."""
    engine = SmallEngine(str(socket))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, told: Any) -> None:
            body = b"" if told is None else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.answer(*engine.get(self.path))

        def do_POST(self) -> None:
            self.answer(*engine.post(self.path))

        def log_message(self, format: str, *args: object) -> None:
            pass

        def address_string(self) -> str:
            return "client"

    class Server(ThreadingMixIn, UnixStreamServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that goes away is no news."""

    server = Server(str(socket), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield engine
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
