"""Asks a container engine over its Unix socket. Loads `http.client`."""

from __future__ import annotations

import http.client
import socket
import time
from urllib.parse import quote

import msgspec

from agent.checks.engine import Container, EngineError, parse_container, parse_list
from kit.units import format_duration

MAX_ANSWER = 8 << 20
"""Bytes: what a thousand containers need."""


class Engine:
    """Docker or Podman, to be asked for `patience` seconds in all."""

    def __init__(self, path: str, patience: float) -> None:
        self.path = path
        self.patience = patience
        self.deadline = time.monotonic() + patience

    def containers(self) -> dict[str, str]:
        """Id to name of all containers, running or not. Raises EngineError."""
        return parse_list(self.get("/containers/json?all=true"))

    def inspect(self, id_: str, name: str) -> Container | None:
        """All about one, or None where it is there no more. Raises EngineError."""
        answer = self.get_container(id_)
        return None if answer is None else parse_container(answer, name)

    def get_container(self, id_: str) -> bytes | None:
        """What the engine says of one, or None where it is there no more. Raises EngineError."""
        status, body = self._ask("GET", f"/containers/{quote(id_, safe='')}/json")
        return None if status == 404 else _good(status, body)

    def get(self, target: str) -> bytes:
        """What there is at a place that every engine has. Raises EngineError."""
        status, body = self._ask("GET", target)
        if status == 404:
            raise EngineError("what listens there is no container engine")
        return _good(status, body)

    def act(self, id_: str, verb: str) -> None:
        """Do something to a container, such as `pause` or `stop?t=10`. Raises EngineError."""
        status, body = self._ask("POST", f"/containers/{quote(id_, safe='')}/{verb}")
        if status != 304:  # it is so already
            _good(status, body)

    def _ask(self, method: str, target: str) -> tuple[int, bytes]:
        """Status and body of the answer. A connection for each: engines that close them need no other care."""
        connection = _Connection("localhost", self.path, self.deadline)
        try:
            connection.request(method, target)
            with connection.getresponse() as answer:
                body = _read(answer, connection, self.deadline)
        except TimeoutError:
            raise EngineError(f"no answer within {format_duration(self.patience)}") from None
        except FileNotFoundError:
            raise EngineError("there is no such socket: is the engine running?") from None
        except PermissionError:
            raise EngineError("the agent may not write to it") from None
        except http.client.HTTPException:  # one of which is an OSError too
            raise EngineError("what listens there is no container engine") from None
        except OSError as error:
            raise EngineError(error.strerror or str(error)) from None
        finally:
            connection.close()
        return answer.status, body


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, host: str, path: str, deadline: float) -> None:
        super().__init__(host)
        self.socket: socket.socket
        self.path = path
        self.deadline = deadline

    def connect(self) -> None:
        # The answer keeps the socket open after http.client has let go of it; its time limit is still ours to set.
        self.sock = self.socket = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_left(self.deadline))
        self.sock.connect(self.path)


def _read(answer: http.client.HTTPResponse, connection: _Connection, deadline: float) -> bytes:
    """The body. `read1` gives what is there, so that drops cannot add up. Raises OSError, and EngineError."""
    body = bytearray()
    while True:
        connection.socket.settimeout(_left(deadline))
        chunk = answer.read1(65536)
        if not chunk:
            return bytes(body)
        body += chunk
        if len(body) > MAX_ANSWER:
            raise EngineError(f"an answer is larger than {MAX_ANSWER} bytes")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _good(status: int, body: bytes) -> bytes:
    if status not in (200, 204):
        raise EngineError(f"the engine answers with status {status}{_reason(body)}")
    return body


class _Problem(msgspec.Struct):
    message: str = ""


def _reason(body: bytes) -> str:
    try:
        message = msgspec.json.decode(body, type=_Problem).message
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return f": {message[:200]}" if message else ""
