"""The real server, in a process of its own, over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import secrets
import signal
import socket
import ssl
import threading
import time
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from collector import server, tls
from tests.collector import support
from tests.collector.support import RealHome
from wire.codec import encode
from wire.report import Event, Reading, Report


def enrolled(home: RealHome, client: httpx.Client, name: str = "web1") -> support.Host:
    """A host that may report there."""
    host = support.Host(client, time.time)
    answer = host.enroll(support.enrolment_token(home.folder), name)
    assert answer.status_code == 200, answer.text
    return host


def test_a_host_enrols_and_reports_over_tls_and_home_shows_it(data_folder: Path) -> None:
    """From init to the API, with the commands that a person uses."""
    with support.serving(data_folder) as home, home.client() as client:
        host = enrolled(home, client)
        assert host.send().status_code == 200
        bearer = {"Authorization": f"Bearer {home.made('api-token', 'create')}"}
        found = client.get("/api/v1/hosts", headers=bearer).json()["hosts"]
        assert [(one["name"], one["state"]) for one in found] == [("web1", "ok")]


def test_another_process_revokes_a_host_and_the_server_takes_no_more_of_it(data_folder: Path) -> None:
    """At once, although the server knows its key."""
    with support.serving(data_folder) as home, home.client() as client:
        host = enrolled(home, client)
        assert host.send().status_code == 200
        home.made("host", "revoke", "web1")
        assert host.send().json()["error"]["code"] == "revoked"


def test_nothing_that_was_acknowledged_is_lost_when_the_server_is_killed(data_folder: Path) -> None:
    """Killed amid reports of many hosts; what was not acknowledged comes again and is stored once."""
    hosts: list[support.Host] = []
    acknowledged: dict[str, int] = {}
    sent: dict[str, int] = {}
    with support.serving(data_folder) as home:
        with home.client() as client:
            hosts = [enrolled(home, client, f"web{number}") for number in range(6)]
        stop = threading.Event()

        def report(host: support.Host) -> None:
            with home.client() as client:
                host.client = client
                while not stop.is_set():
                    try:
                        answer = host.send(numbered(host))
                    except httpx.TransportError:
                        return
                    if answer.status_code == 200:
                        acknowledged[host.id] = host.sequence

        threads = [threading.Thread(target=report, args=(host,)) for host in hosts]
        for thread in threads:
            thread.start()
        while sum(acknowledged.values()) < 200:
            time.sleep(0.01)
        home.process.send_signal(signal.SIGKILL)
        stop.set()
        for thread in threads:
            thread.join()
        sent = {host.id: host.sequence for host in hosts}
    with support.serving(data_folder) as home, home.client() as client:
        bearer = {"Authorization": f"Bearer {home.made('api-token', 'create')}"}
        for host in hosts:
            host.client = client
            host.sequence = acknowledged[host.id]
            while host.sequence < sent[host.id]:  # the one that was under way
                assert host.send(numbered(host)).status_code == 200
            values = [
                value
                for series in client.get(f"/api/v1/hosts/{host.id}/readings", headers=bearer).json()["series"]
                for value in series["values"]
                if value is not None
            ]
            assert values == list(map(float, range(1, sent[host.id] + 1)))
            kinds = [
                event["kind"]
                for event in client.get(f"/api/v1/hosts/{host.id}", headers=bearer).json()["events"]
                if event["kind"] != "host.enrolled"
            ]
            newest_first = [f"event-{number}" for number in range(sent[host.id], 0, -1)]
            assert kinds == newest_first[: len(kinds)]


def numbered(host: support.Host) -> Report:
    """The next report, whose reading and event say which it is."""
    number = host.sequence + 1
    now = host.clock()
    return host.report(
        readings=[Reading("count", "count", float(number), "", {}, now - 60 + number / 1000)],
        events=[Event(time=now, kind=f"event-{number}", message="")],
    )


def test_sigterm_ends_the_server_without_an_error_and_without_waiting_for_idle_clients(data_folder: Path) -> None:
    """Browsers and agents keep connections that they do not use."""
    with support.serving(data_folder) as home, home.client() as client:
        assert client.get("/healthz").status_code == 200
        begun = time.monotonic()
        home.process.terminate()
        assert home.process.wait(30) == 0
        assert time.monotonic() - begun < 8  # the drain of 10 s was not needed


def test_a_second_server_of_the_same_folder_is_refused(data_folder: Path) -> None:
    """Two would take each other's reports for repeats."""
    with support.serving(data_folder):
        second = support.run("serve", "--data-dir", str(data_folder), "--port", "0")
        assert (second.returncode, second.stdout) == (1, "")
        assert "another hostward-collector is using" in second.stderr
        assert len(second.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_named(data_folder: Path) -> None:
    """In one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = support.run("serve", "--data-dir", str(data_folder), "--port", str(port))
    assert done.returncode == 1
    assert done.stderr.startswith(f"hostward-collector: cannot listen at 127.0.0.1, port {port}:")


def cut_off(home: RealHome, begin: bytes, part: bytes) -> None:
    """Send `begin`, then `part` again and again; returns once home has had enough of it."""
    url = httpx.URL(home.url)
    with (
        socket.create_connection((url.host, url.port), timeout=20) as raw,
        home.context.wrap_socket(raw, server_hostname=url.host) as client,
    ):
        client.sendall(begin)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while True:
                client.sendall(part)


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "head": (HEALTH + b"X: ", b"x" * 65536),
    "many headers": (HEALTH, b"X: x\r\n" * 10_000),
    "body": (HEALTH + b"Content-Length: 10000000000\r\n\r\n", b"x" * 65536),
    "chunks": (HEALTH + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
    "trailer": (HEALTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"x" * 65536),
    "many trailers": (HEALTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: x\r\n" * 10_000),
    "chunk extension": (HEALTH + b"Transfer-Encoding: chunked\r\n\r\n5;", b"x" * 65536),
}


def test_a_request_without_end_is_cut_off_wherever_it_has_none(data_folder: Path) -> None:
    """A client can neither fill home's memory nor keep its connection, also where no body is read."""
    with support.serving(data_folder) as home:
        for begin, part in ENDLESS.values():
            cut_off(home, begin, part)
        with home.client() as client:
            assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        HEALTH,
        HEALTH + b"Content-Length: 5\r\n\r\n1234",
        HEALTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: x\r\n",
    ],
)
def test_a_client_that_stops_halfway_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """Neither in the head, nor in a body that nobody reads, nor in what follows it."""
    monkeypatch.setattr(server, "HEAD_TIMEOUT", 0.2)
    monkeypatch.setattr(server, "REQUEST_TIMEOUT", 0.2)

    async def healthz(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("ok")(scope, receive, send)

    async def wait_for_the_end() -> None:
        config = uvicorn.Config(healthz, http=server.Protocol, ws="none", lifespan="off", log_config=None)
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: server.Protocol(config, state, {}), "127.0.0.1", 0)
        async with listener:
            reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
            writer.write(sent)
            await asyncio.wait_for(reader.read(), 30)
            writer.close()

    asyncio.run(wait_for_the_end())


def test_a_certificate_that_is_near_its_end_is_renewed_at_the_start(data_folder: Path) -> None:
    """And the hosts' trust in the authority still holds."""
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=100)
    tls.issue_server_certificate(data_folder, ["127.0.0.1"], long_ago)
    with support.serving(data_folder) as home, home.client() as client:
        assert client.get("/healthz").status_code == 200


def test_the_configuration_is_read_and_its_mistakes_are_told(data_folder: Path, tmp_path: Path) -> None:
    """With file, line, and what was expected; nothing is served."""
    file = tmp_path / "collector.toml"
    file.write_text('[history]\nretention = "soon"\nmax_siez = "1GiB"\n')
    done = support.run("serve", "--data-dir", str(data_folder), "--port", "0", "--config", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert "collector.toml:2" in done.stderr
    assert "max_size" in done.stderr
    assert "Traceback" not in done.stderr
    file.write_text('[history]\nretention = "2d"\n')
    with support.serving(data_folder, "--config", str(file)):
        pass


@pytest.mark.parametrize("body", [b"", os.urandom(2000)])
def test_what_is_not_http_gets_an_answer_and_harms_nobody(data_folder: Path, body: bytes) -> None:
    """The server goes on."""
    with support.serving(data_folder) as home:
        url = httpx.URL(home.url)
        with socket.create_connection((url.host, url.port)) as raw:
            raw.sendall(secrets.token_bytes(500))
        with (
            socket.create_connection((url.host, url.port)) as raw,
            home.context.wrap_socket(raw, server_hostname=url.host) as client,
        ):
            client.sendall(body + b"\r\n\r\n")
        with home.client() as client:
            assert client.get("/healthz").status_code == 200


def test_a_signed_report_is_taken_whatever_its_size_up_to_the_limit(data_folder: Path) -> None:
    """A large one is decoded beside the loop."""
    with support.serving(data_folder) as home, home.client() as client:
        host = enrolled(home, client)
        now = time.time()
        readings = [
            Reading("many", "value", float(number), "", {"label": secrets.token_hex(20)}, now)
            for number in range(4000)
        ]
        report = host.report(readings=readings)
        assert len(encode(report)) > 1 << 16
        assert host.send(report).status_code == 200
