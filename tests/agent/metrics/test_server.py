"""The HTTP server of the metrics, over real sockets."""

from __future__ import annotations

import contextlib
import errno
import gzip
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from agent.metrics import server as serving
from agent.metrics.server import MOST_CONNECTIONS, Server
from tests.agent.daemon.daemons import wait_for

TEXT = b"up 1\n" * 40_000
Start = Callable[..., tuple[str, int]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a server that gives TEXT, or what a test's own function gives, and tells its address."""
    servers: list[Server] = []

    def begin(answer: Callable[[], serving.Answer] = lambda: ("text/plain; version=0.0.4", TEXT)) -> tuple[str, int]:
        listener = socket.create_server(("127.0.0.1", 0))
        address: tuple[str, int] = listener.getsockname()
        server = Server(listener, answer)
        server.start()
        servers.append(server)
        return address

    yield begin
    for server in servers:
        server.stop(10)


def raw(address: tuple[str, int], request: bytes) -> bytes:
    """All that comes back until the server closes."""
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(request)
        with suppress(OSError):  # a server that refused the half of it has closed already
            client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


def answered(address: tuple[str, int]) -> bool:
    """Whether a request was answered within the server's time limits, which a busy machine may overrun."""
    try:
        return status(raw(address, b"GET / HTTP/1.0\r\n\r\n")) == 200
    except ConnectionError:
        return False


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_a_scraper_keeps_its_connection(start: Start) -> None:
    """Several answers over one, each whole, with its type; compressed only for who takes that."""
    connection = http.client.HTTPConnection(*start(), timeout=30)
    for headers, packed in (
        ({}, False),
        ({"Accept-Encoding": "gzip"}, True),
        ({"Accept-Encoding": "gzip;q=0"}, False),
    ):
        connection.request("GET", "/metrics?collect[]=cpu", headers=headers)
        reply = connection.getresponse()
        body = reply.read()
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "text/plain; version=0.0.4"
        assert (reply.headers["Content-Encoding"] == "gzip") is packed
        assert (gzip.decompress(body) if packed else body) == TEXT
    connection.request("HEAD", "/metrics")
    reply = connection.getresponse()
    assert (reply.read(), reply.headers["Content-Length"]) == (b"", str(len(TEXT)))
    connection.request("GET", "/")
    assert b'href="/metrics"' in connection.getresponse().read()
    connection.close()


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\nHost: [::1]:9843\r\nConnection: close\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\n\r\n", 200),
        (b"GET /secret HTTP/1.0\r\n\r\n", 404),
        (b"GET /metrics/../x HTTP/1.0\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.0\r\n\r\n", 405),
        (b"DELETE / HTTP/1.0\r\n\r\n", 405),
        (b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET /metrics HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", 421),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        (b"GET /metrics HTTP/1.0\r\nno colon\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.0\r\nA: b\r\n folded\r\n\r\n", 400),
        (b"GET /metrics HTTP/2.0\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nA: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 100_000, 431),
    ],
)
def test_what_is_asked_is_answered_or_refused(start: Start, request_: bytes, expected: int) -> None:
    """By its status; a refused connection is closed."""
    answer = b""
    try:
        answer = raw(start(), request_)
    except ConnectionError:  # the refusal came before all had been sent
        assert expected == 431
        return
    assert status(answer) == expected


def test_requests_that_come_together_are_answered_in_turn(start: Start) -> None:
    """And none after one that ends the connection."""
    one = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
    answer = raw(start(), one + b"\r\n" + one + b"Connection: close\r\n\r\n" + one + b"\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_slow_clients_are_dropped_and_keep_nobody_waiting(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that trickles, an answer that is not taken, a silent connection: each has its end."""
    for name in ("HEAD_TIME", "SEND_TIME", "IDLE_TIME"):
        monkeypatch.setattr(serving, name, 1.0)
    address = start(lambda: ("text/plain", bytes(32 << 20)))
    with (
        socket.create_connection(address, timeout=30) as trickle,
        socket.create_connection(address, timeout=30) as silent,
        socket.create_connection(address, timeout=30) as greedy,
    ):
        trickle.sendall(b"GET / HT")
        greedy.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        wait_for(lambda: answered(address))
        assert trickle.recv(1) == b""
        assert silent.recv(1) == b""
        received = 0
        with pytest.raises(ConnectionError):  # closed with much of it unsent
            while data := greedy.recv(1 << 20):
                received += len(data)
                threading.Event().wait(0.5)
            raise ConnectionError
        assert received < 32 << 20


def test_more_connections_than_there_may_be_close_the_oldest(start: Start) -> None:
    """A flood shuts nobody out who asks now."""
    address = start()
    flood = [socket.create_connection(address, timeout=30) for _ in range(3 * MOST_CONNECTIONS)]
    try:
        assert status(raw(address, b"GET / HTTP/1.0\r\n\r\n")) == 200
        assert flood[0].recv(1) == b""
    finally:
        for client in flood:
            client.close()


def test_who_asks_in_a_loop_is_given_the_same_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a moment; then it is made anew."""
    monkeypatch.setattr(serving, "FRESH", 3600.0)
    made = iter(range(100))
    address = start(lambda: ("text/plain", b"%d" % next(made)))
    ask = b"GET /metrics HTTP/1.0\r\n\r\n"
    assert raw(address, ask)[-1:] == raw(address, ask)[-1:] == b"0"
    monkeypatch.setattr(serving, "FRESH", 0.0)
    assert raw(address, ask)[-1:] == b"1"


def test_a_stopped_server_leaves_the_port_and_no_thread() -> None:
    """Another one can have it at once, although a client is still connected."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    server = Server(listener, lambda: ("text/plain", b""))
    server.start()
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        server.stop(10)
        assert "metrics" not in {thread.name for thread in threading.enumerate()}
        socket.create_server(address).close()


def test_a_scrape_that_hangs_keeps_the_agent_from_nothing() -> None:
    """Stopping gives up on the thread, and the port is free although it hangs."""
    listener = socket.create_server(("127.0.0.1", 0))
    address, entered, release = listener.getsockname(), threading.Event(), threading.Event()

    def hang() -> serving.Answer:
        entered.set()
        release.wait(60)
        return "text/plain", b""

    server = Server(listener, hang)
    server.start()
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert entered.wait(30)
        server.stop(0.1)
        socket.create_server(address).close()
        release.set()
        server.stop(30)


def test_who_makes_room_for_another_may_have_asked_something(start: Start) -> None:
    """A request and the connection for which its own is closed may come at the same moment."""
    entered, release = threading.Event(), threading.Event()

    def hang() -> serving.Answer:
        entered.set()
        release.wait(60)
        return "text/plain", b""

    address = start(hang)
    with contextlib.ExitStack() as stack:
        stack.callback(release.set)
        clients = [
            stack.enter_context(socket.create_connection(address, timeout=30)) for _ in range(MOST_CONNECTIONS)
        ]
        clients[-1].sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert entered.wait(30)
        stack.enter_context(socket.create_connection(address, timeout=30))
        clients[0].sendall(b"GET / HTTP/1.0\r\n\r\n")
        release.set()
        assert clients[-1].recv(15) == b"HTTP/1.1 200 OK"
        assert answered(address)


def test_an_answer_that_cannot_be_made_is_a_failure_of_one_request(start: Start) -> None:
    """The thread lives on, and the next scrape is another attempt."""
    attempts = iter([RuntimeError("out of luck"), MemoryError(), None])

    def answer() -> serving.Answer:
        if (error := next(attempts)) is not None:
            raise error
        return "text/plain", b"up 1\n"

    address = start(answer)
    ask = b"GET /metrics HTTP/1.0\r\n\r\n"
    assert [status(raw(address, ask)) for _ in range(3)] == [500, 500, 200]


def test_a_connection_that_cannot_be_accepted_is_not_asked_for_without_end() -> None:
    """While descriptors have run out it would be a loop that takes a whole processor."""

    class Exhausted(socket.socket):
        attempts = 0

        def accept(self) -> tuple[socket.socket, Any]:
            Exhausted.attempts += 1
            raise OSError(errno.EMFILE, "Too many open files")

    listener = Exhausted()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = Server(listener, lambda: ("text/plain", b""))
    server.start()
    with socket.create_connection(listener.getsockname(), timeout=30):
        wait_for(lambda: Exhausted.attempts > 2)
        threading.Event().wait(1)
        server.stop(30)
    assert Exhausted.attempts < 100
