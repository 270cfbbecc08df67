"""A home to test against: real TLS, real signatures, numbers in memory; and as unreliable as it is told to be."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tests.agent.home.tls import Authority
from wire import codec, protocol, signature
from wire.errors import REFUSALS, Code, WireError
from wire.report import Enrolled, Problem, Refusal, Reply, Report


@dataclass
class Request:
    """What came in."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Marks:
    """What a collector keeps: the highest number of each stream, and what it took. Pure; thread-safe by one lock."""

    marks: dict[tuple[str, str], int] = field(default_factory=dict)
    taken: list[Report] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, report: Report) -> bool:
        """Keep it, unless it was kept before; True for a repeat."""
        with self.lock:
            stream = (report.host, report.epoch)
            if report.sequence <= self.marks.get(stream, 0):
                return True
            self.marks[stream] = report.sequence
            self.taken.append(report)
            return False

    def counts(self) -> Counter[str]:
        """What it has, and what it was told is lost."""
        found: Counter[str] = Counter()
        with self.lock:
            for report in self.taken:
                found += count(report)
        return found


def count(report: Report) -> Counter[str]:
    """What a report brings, and what it says is lost: what was produced is the sum of these.

    A day of logs, a run of a backup job and a drill count as events.
    """
    events = len(report.events) + len(report.logs) + len(report.backups) + len(report.drills)
    found = Counter(readings=len(report.readings), events=events, job_results=len(report.jobs))
    for gap in report.gaps:
        found += Counter(readings=gap.readings, events=gap.events, job_results=gap.job_results)
    return found


Behaviour = Callable[["Home", Request, ssl.SSLSocket], bytes | None]
"""Answers a request with bytes, or with None closes the connection."""


class Home:
    """A server on a free port of 127.0.0.1. `script` says how it meets the coming requests, one each."""

    def __init__(self, folder: Path, *, certificate: Path | None = None) -> None:
        self.authority = Authority(folder)
        self.ca = self.authority.file
        self.certificate = certificate or self.authority.certificate()
        self.keys: dict[str, signature.PublicKey] = {}
        self.tokens: dict[str, str] = {}
        """Token to the public key that used it, or ''."""
        self.marks = Marks()
        self.script: deque[Behaviour] = deque()
        self.usual: Behaviour = take
        self.requests: list[Request] = []
        self.nonces: set[str] = set()
        self.connections = 0
        self.clock: Callable[[], float] = time.time
        self.changed = threading.Condition()
        self._port = 0
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        """Where it is, also while it is absent."""
        return f"https://127.0.0.1:{self._port}"

    def __enter__(self) -> Home:
        self.appear()
        return self

    def __exit__(self, *_: object) -> None:
        self.disappear()

    def appear(self) -> None:
        """Listen, on the same port as before."""
        self.closing.clear()
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        self._spawn(self._accept, self._listener)

    def disappear(self) -> None:
        """Close everything, and wait until nothing of it runs."""
        self.closing.set()
        with self.changed:
            self.changed.notify_all()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._threads.clear()

    def wait_for(self, condition: Callable[[], bool], timeout: float = 30) -> None:
        """Until the condition holds; it is looked at after every request."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout), "it did not come to that"

    def enroll(self, folder: Path, key: bytes, host: str = "host-1") -> None:
        """Know a host."""
        self.keys[host] = signature.load_private_key(key).verify_key

    def _spawn(self, run: Callable[[socket.socket], None], sock: socket.socket) -> None:
        thread = threading.Thread(target=run, args=(sock,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self._open.add(sock)
            self._spawn(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        self.connections += 1
        try:
            with context.wrap_socket(sock, server_side=True) as tls:
                self._open.discard(sock)
                self._open.add(tls)
                try:
                    for request in _requests(tls):
                        self.requests.append(request)
                        with self.changed:
                            self.changed.notify_all()
                        behaviour = self.script.popleft() if self.script else self.usual
                        answer = behaviour(self, request, tls)
                        if answer is not None:
                            tls.sendall(answer)
                        with self.changed:
                            self.changed.notify_all()
                        if answer is None:
                            return
                finally:
                    self._open.discard(tls)
        except OSError:
            pass  # the other end left, or does not trust this one
        finally:
            self._open.discard(sock)
            with self.changed:
                self.changed.notify_all()


def _requests(tls: ssl.SSLSocket) -> Iterator[Request]:
    buffer = b""
    while True:
        while b"\r\n\r\n" not in buffer:
            part = tls.recv(65536)
            if not part:
                return
            buffer += part
        head, _, buffer = buffer.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        while len(buffer) < length:
            part = tls.recv(65536)
            if not part:
                return
            buffer += part
        body, buffer = buffer[:length], buffer[length:]
        yield Request(method, target, headers, body)


def response(status: int, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _refusal(error: WireError, now: float) -> bytes:
    time_ = now if error.code == "clock_skew" else None
    problem = Problem(code=error.code, message=str(error), permanent=error.permanent, time=time_)
    return response(error.status, msgspec.json.encode(Refusal(problem)))


def take(home: Home, request: Request, _: ssl.SSLSocket) -> bytes | None:
    """As a collector does: verify, keep, acknowledge."""
    now = home.clock()
    try:
        assert (request.method, request.target) == ("POST", protocol.REPORTS)
        assert request.headers["content-type"] == protocol.REPORT_TYPE
        assert request.headers["content-encoding"] == protocol.REPORT_ENCODING
        claim = signature.parse(request.headers)
        if claim.key_id not in home.keys:
            raise WireError("unknown_host", "this host is not known here")
        signature.verify(claim, home.keys[claim.key_id], request.method, request.target, request.body, now=now)
        if claim.nonce in home.nonces:
            raise WireError("replayed", "this nonce was used before")
        home.nonces.add(claim.nonce)
        report = codec.decode(request.body)
        if report.host != claim.key_id:
            raise WireError("bad_request", "this report is another host's")
        duplicate = home.marks.take(report)
    except WireError as error:
        return _refusal(error, now)
    return response(200, msgspec.json.encode(Reply(time=now, duplicate=duplicate)))


def take_then_cut(home: Home, request: Request, tls: ssl.SSLSocket) -> bytes | None:
    """Keep the report, and break off in the middle of the answer."""
    answer = take(home, request, tls)
    assert answer is not None
    tls.sendall(answer[: len(answer) // 2])
    return None


def cut(home: Home, request: Request, tls: ssl.SSLSocket) -> bytes | None:
    """Close the connection without a word."""
    return None


def hang(home: Home, request: Request, tls: ssl.SSLSocket) -> bytes | None:
    """Never answer."""
    home.closing.wait(60)
    return None


def drip(home: Home, request: Request, tls: ssl.SSLSocket) -> bytes | None:
    """Answer a letter at a time, never to an end."""
    tls.sendall(b"HTTP/1.1 200 OK\r\nX-Padding: ")
    while not home.closing.wait(0.05):
        tls.sendall(b"x")
    return None


def refuse(code: Code, *, retry_after: str | None = None, now: float | None = None) -> Behaviour:
    """Refuse with one of the codes."""

    def behave(home: Home, request: Request, tls: ssl.SSLSocket) -> bytes:
        problem = Problem(code=code, message="because", permanent=REFUSALS[code].permanent, time=now)
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        return response(REFUSALS[code].status, msgspec.json.encode(Refusal(problem)), headers)

    return behave


def say(status: int, body: bytes, headers: dict[str, str] | None = None) -> Behaviour:
    """Answer with this."""
    return lambda home, request, tls: response(status, body, headers)


def raw(data: bytes) -> Behaviour:
    """Put these bytes on the wire, and close."""

    def behave(home: Home, request: Request, tls: ssl.SSLSocket) -> None:
        tls.sendall(data)

    return behave


def enroll(home: Home, request: Request, tls: ssl.SSLSocket) -> bytes:
    """As a collector does: a token is good for one key."""
    now = home.clock()
    try:
        assert (request.method, request.target) == ("POST", protocol.ENROLL)
        claim = signature.parse(request.headers)
        key = signature.load_public_key(claim.key_id)
        signature.verify(claim, key, request.method, request.target, request.body, now=now)
        asked = codec.decode_enrolment(request.body)
    except WireError as error:
        return _refusal(error, now)
    used = home.tokens.get(asked.token)
    if used is None or used not in ("", asked.public_key):
        code = "token_unknown" if used is None else "token_used"
        problem = Problem(code=code, message="The enrolment token was used before.")
        return response(403, msgspec.json.encode(Refusal(problem)))
    home.tokens[asked.token] = asked.public_key
    home.keys["host-1"] = key
    return response(200, msgspec.json.encode(Enrolled(host="host-1", name=asked.name, time=now)))
