"""Connections that pile up, requests that never end, that are two at once, or that ask for what is not there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from collector import server
from tests.collector import support
from tests.collector.support import RealHome
from tests.web.conftest import Site

CONFIGURATION = "[connections]\ntotal = 12\nper_address = 6\n"


@pytest.fixture
def narrow(data_folder: Path, tmp_path: Path) -> Iterator[RealHome]:
    """A home that takes few connections."""
    file = tmp_path / "collector.toml"
    file.write_text(CONFIGURATION)
    with support.serving(data_folder, "--config", str(file)) as real:
        yield real


def connected(home: RealHome, source: str) -> socket.socket:
    """A connection from one of loopback's addresses, without TLS."""
    url = httpx.URL(home.url)
    return socket.create_connection((url.host, url.port), timeout=30, source_address=(source, 0))


def is_refused(connection: socket.socket) -> bool:
    """Whether home has ended it at once. One that is taken waits for TLS to begin."""
    connection.settimeout(2)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def is_served(home: RealHome, source: str) -> bool:
    """Whether a client from there gets an answer."""
    url = httpx.URL(home.url)
    try:
        with (
            connected(home, source) as raw,
            home.context.wrap_socket(raw, server_hostname=url.host) as client,
        ):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return client.recv(20).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def test_no_address_takes_all_connections_and_no_number_of_addresses_more_than_there_are(narrow: RealHome) -> None:
    """Those that never begin TLS count as well; what is ended makes room again."""
    with contextlib.ExitStack() as stack:
        first = [stack.enter_context(connected(narrow, "127.0.0.2")) for _ in range(6)]
        assert is_refused(stack.enter_context(connected(narrow, "127.0.0.2")))
        assert not is_served(narrow, "127.0.0.2")
        assert is_served(narrow, "127.0.0.3")
        for _ in range(6):
            stack.enter_context(connected(narrow, "127.0.0.4"))
        assert is_refused(stack.enter_context(connected(narrow, "127.0.0.5")))
        for connection in first:
            connection.close()
        for _ in range(50):
            if is_served(narrow, "127.0.0.2"):
                break
        else:
            pytest.fail("home still refuses an address whose connections have ended")


def test_a_head_that_comes_byte_by_byte_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte keeps a naive server waiting for the next one; here all of the head has one deadline."""
    monkeypatch.setattr(server, "HEAD_TIMEOUT", 0.5)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("ok")(scope, receive, send)

    async def dribble() -> int:
        config = uvicorn.Config(app, http=server.Protocol, ws="none", lifespan="off", log_config=None)
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: server.Protocol(config, state, {}), "127.0.0.1", 0)
        async with listener:
            reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
            sent = 0
            while not reader.at_eof():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.05)
                writer.write(b"x")
                sent += 1
            writer.close()
            return sent

    assert asyncio.run(asyncio.wait_for(dribble(), 60)) > 3


def talk(site: Site, sent: bytes) -> bytes:
    """All that home answers to these bytes over one connection."""
    url = httpx.URL(site.real.url)
    answer = b""
    with (
        socket.create_connection((url.host, url.port), timeout=30) as raw,
        site.real.context.wrap_socket(raw, server_hostname=url.host) as client,
        contextlib.suppress(ConnectionError, ssl.SSLError),
    ):
        client.sendall(sent)
        while part := client.recv(65536):
            answer += part
    return answer


HIDDEN = b"GET /api/hidden HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
POST = b"POST /api/v1/hosts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
SMUGGLED = {
    "two ways to say how long": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "the other way round": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN),
    "a list of lengths": POST + b"Content-Length: 0, %d\r\n\r\n" % len(HIDDEN),
    "a length with a sign": POST + b"Content-Length: +0\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length in hexadecimal": POST + b"Content-Length: 0x0\r\n\r\n",
    "a length that overflows": POST + b"Content-Length: 18446744073709551616\r\n\r\n",
    "a coding that is none": POST + b"Transfer-Encoding: xchunked\r\n\r\n",
    "chunked, but not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded header": POST + b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "a chunk size with a sign": POST + b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
    "a chunk size that overflows": POST + b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
    "a NUL in a header": POST + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a carriage return in a header": POST + b"X: a\rContent-Length: 5\r\n\r\n",
    "a line without a name": POST + b": x\r\n\r\n",
    "no version": b"GET /api/v1/hosts\r\n\r\n",
    "another version": b"GET /api/v1/hosts HTTP/9.9\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("shape", SMUGGLED)
def test_what_could_be_read_in_two_ways_is_read_in_none(site: Site, shape: str) -> None:
    """The connection ends with it: the request that hides behind it is never answered."""
    answer = talk(site, SMUGGLED[shape] + HIDDEN)
    assert b"hidden" not in answer
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401", b"HTTP/1.1 403", b"HTTP/1.1 405"))


def test_requests_one_after_the_other_are_answered_each(site: Site) -> None:
    """So the test above could fail: what follows a whole request is a request."""
    answer = talk(site, POST + b"Content-Length: 0\r\n\r\n" + HIDDEN)
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"hidden" in answer


TARGETS: dict[str, set[int]] = {
    "/static/x/..%2f..%2fapp.py": {404},
    "/static/x/../../app.py": {404},
    "/static/x/%2e%2e/%2e%2e/app.py": {404},
    "/static/x//etc/passwd": {404},
    "/static/x/%00app.css": {404},
    "/static/x/..\\..\\app.py": {404},
    "//api/v1/hosts": {404},
    "/api//v1/hosts": {404},
    "/api/v1/hosts/": {404},
    "/api/v1/hosts;x": {404},
    "/api/v1/hosts%2f": {401, 404},
    "/api/v1/../v1/hosts": {404},
    "/api/v1/%68osts": {401},
    "/API/v1/hosts": {404},
    "/api/v1/hosts/%ff": {401},
    "/api/v1/hosts/..%2faudit": {401, 404},
    "/login/../api/v1/audit": {404},
    "http://evil.test/api/v1/hosts": {401},
    "https://evil.test:99999/api/v1/hosts": {400, 401},
    "*": {400, 404},
    "/%": {404},
    "/hosts/%E2%80%AE": {303},
}


@pytest.mark.parametrize("target", TARGETS)
def test_no_way_of_writing_a_path_leads_round_the_rules(site: Site, target: str) -> None:
    """Nor out of the folder of static files; and nothing of the request's Host is told back as an address."""
    sent = f"GET {target} HTTP/1.1\r\nHost: evil.test\r\nX-Forwarded-Host: evil.test\r\nX-Original-URL: /\r\n"
    answer = talk(site, (sent + "X-Rewrite-URL: /static/x/app.css\r\nConnection: close\r\n\r\n").encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split()[1]) in TARGETS[target], answer
    assert b"evil.test" not in head
    assert b"evil.test" not in body or target.startswith("http")
    assert b"def create_app" not in body
    assert b"root:" not in body


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "DELETE", "PUT", "PATCH", "OPTIONS", "PROPFIND"])
def test_no_other_method_does_anything(site: Site, method: str) -> None:
    """Nothing is told back (TRACE), tunnelled (CONNECT) or allowed to other sites (OPTIONS)."""
    head = f"{method} /api/v1/hosts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nConnection: close\r\n\r\n"
    answer = talk(site, head.encode())
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 405")), answer
    assert b"access-control-allow" not in answer.lower()
