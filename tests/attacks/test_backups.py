"""A host that was broken into, and strangers, against the repositories at home."""

from __future__ import annotations

import random
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.collector.backups.support import Guest, basic, files_below, name_of
from tests.collector.backups.test_server import arrived, keeping
from tests.collector.support import RealHome

VICTIM = b"what the victim saved"


@dataclass
class Field:
    """A home with a victim and a host that is in the attacker's hands."""

    home: RealHome
    folder: Path
    victim: Guest
    attacker: Guest

    def raw(self, request: bytes) -> bytes:
        """What comes back for bytes that no library would send."""
        parts = urlsplit(self.home.url)
        with (
            socket.create_connection((parts.hostname, parts.port), 10) as plain,
            self.home.context.wrap_socket(plain, server_hostname=parts.hostname) as connection,
        ):
            connection.settimeout(10)
            answer = b""
            try:
                connection.sendall(request)
                while piece := connection.recv(65536):
                    answer += piece
            except (OSError, ssl.SSLError):
                pass
            return answer

    def header(self) -> bytes:
        """The attacker's own credential."""
        value = basic(self.attacker.user, self.attacker.password)["Authorization"]
        return f"Host: home\r\nAuthorization: {value}\r\n".encode()

    def kept(self) -> dict[str, bytes]:
        """All that is in repositories."""
        found = files_below(self.folder / "backups")
        return {path: content for path, content in found.items() if "/tmp/" not in path}


@pytest.fixture(scope="module")
def field(initialised: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """One home for all of these: none may leave a trace."""
    folder = shutil.copytree(initialised, tmp_path_factory.mktemp("field") / "home")
    with keeping(folder) as home, home.client() as client:
        victim, attacker = arrived(home, client, "victim"), arrived(home, client, "attacker")
        for one in (victim, attacker):
            one.create()
        victim.save("data", VICTIM)
        yield Field(home, folder, victim, attacker)


@pytest.fixture(autouse=True)
def no_trace(field: Field) -> Iterator[None]:
    """Whatever is tried, what was saved is as it was, and the victim can go on."""
    before = field.kept()
    yield
    assert {path: data for path, data in field.kept().items() if path in before} == before
    assert name_of(VICTIM) in field.victim.listed("data")


PATHS = (
    "/backup/{own}/../{other}/config",
    "/backup/{own}/%2e%2e/{other}/config",
    "/backup/{own}/..%2f{other}/config",
    "/backup/{own}%2f..%2f{other}/config",
    "/backup/{other}/config",
    "/backup/victim/config",
    "/backup/./{other}/config",
    "/backup//{other}/config",
    "/backup/{own}/data/../../{other}/data/{pack}",
    "/backup/{own}/data/{pack}",
    "/backup/{own}/config/../../../collector.db",
    "/backup/../collector.db",
    "/backup/%00/config",
    "/backup/{own}\\..\\{other}/config",
    "/backup/{own}/config%00/../../{other}/config",
    "/backup/{own};{other}/config",
    "/backup/{own}?/../{other}/config",
    "https://home/backup/{other}/config",
    "//home/backup/{other}/config",
)


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_no_path_leads_to_what_is_another_hosts(field: Field, method: str) -> None:
    """However it is written; nor to any other file of home."""
    for path in PATHS:
        asked = path.format(own=field.attacker.repository, other=field.victim.repository, pack=name_of(VICTIM))
        answer = field.raw(
            f"{method} {asked} HTTP/1.1\r\n".encode()
            + field.header()
            + b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        assert answer.split(b" ", 2)[1:2] not in ([b"200"], [b"206"]), asked
        assert VICTIM not in answer
        assert b"config of " + field.victim.user.encode() not in answer


def test_requests_that_are_two_at_once(field: Field) -> None:
    """What hides behind another request is a request of its own, which proves itself or is refused."""
    own, other, pack = field.attacker.repository, field.victim.repository, name_of(VICTIM)
    hidden = f"DELETE /backup/{other}/data/{pack} HTTP/1.1\r\nHost: home\r\nConnection: close\r\n\r\n".encode()
    target = f"POST /backup/{own}/data/{'0' * 64} HTTP/1.1\r\n".encode() + field.header()
    for framing in (
        b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(hidden),
        b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(hidden),
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x10\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Content-Length: 0\r\n",
    ):
        answer = field.raw(target + framing + b"\r\n" + b"0\r\n\r\n" * (b"chunked" in framing) + hidden)
        assert b"HTTP/1.1 200" not in answer, framing


def test_names_and_headers_without_end(field: Field) -> None:
    """A megabyte of either is refused, and the next request is served."""
    own = field.attacker.repository
    for request in (
        f"GET /backup/{'a' * (1 << 20)}/config HTTP/1.1\r\n".encode() + field.header() + b"\r\n",
        f"GET /backup/{own}/data/{'0' * (1 << 20)} HTTP/1.1\r\n".encode() + field.header() + b"\r\n",
        f"GET /backup/{own}/config HTTP/1.1\r\nAuthorization: Basic {'QQ' * (1 << 19)}\r\n\r\n".encode(),
        f"GET /backup/{own}/config HTTP/1.1\r\n".encode()
        + field.header()
        + b"Range: bytes=" + b"0-1," * 10_000 + b"\r\nConnection: close\r\n\r\n",
    ):  # fmt: skip
        field.raw(request)
    assert field.attacker.request("GET", "config").status_code == 200


def test_bytes_at_random(field: Field) -> None:
    """Requests of the protocol with bytes exchanged, doubled and left out: never an error of home's own."""
    source = random.Random(6)
    own = field.attacker.repository
    whole = (
        f"POST /backup/{own}/data/{name_of(b'x')} HTTP/1.1\r\n".encode()
        + field.header()
        + b"Range: bytes=0-5\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
    )
    for _ in range(60):
        changed = bytearray(whole)
        for _ in range(source.randint(1, 4)):
            place = source.randrange(len(changed) - 6)
            match source.randrange(3):
                case 0:
                    changed[place] = source.randrange(256)
                case 1:
                    del changed[place : place + source.randint(1, 5)]
                case 2:
                    changed[place:place] = changed[place : place + source.randint(1, 30)]
        parts = urlsplit(field.home.url)
        with (
            socket.create_connection((parts.hostname, parts.port), 10) as plain,
            field.home.context.wrap_socket(plain, server_hostname=parts.hostname) as connection,
        ):
            connection.sendall(bytes(changed))
            connection.settimeout(0.05)  # what is incomplete is waited for; nothing of it matters here
            answer = b""
            try:
                while piece := connection.recv(65536):
                    answer += piece
            except (OSError, ssl.SSLError):
                pass
        assert b"HTTP/1.1 500" not in answer, bytes(changed)


def test_a_host_that_was_broken_into_removes_nothing(field: Field) -> None:
    """With the credential, the key and root's rights: what was saved before stays, and can be read."""
    attacker = field.attacker
    content = b"from before the attack"
    names = {kind: attacker.save(kind, content) for kind in ("data", "index", "snapshots", "keys")}
    before = field.kept()
    for kind, name in names.items():
        assert attacker.request("DELETE", f"{kind}/{name}").status_code == 403
        for other in (b"", b"overwritten", content[:-1]):
            assert attacker.request("POST", f"{kind}/{name}", content=other).status_code == 400
    assert attacker.request("POST", "config", content=b"another").status_code == 403
    assert attacker.request("POST", "?create=true").status_code == 200
    assert attacker.request("DELETE", "").status_code == 403
    assert attacker.request("DELETE", "config").status_code == 403
    attacker.arrive()  # a new credential changes nothing of this
    assert field.kept() == before
    for kind, name in names.items():
        assert attacker.request("GET", f"{kind}/{name}").content == content


def test_the_credential_opens_nothing_else(field: Field) -> None:
    """Neither the API nor the pages, nor as a token or a session."""
    with field.home.client() as client:
        for headers in (
            basic(field.attacker.user, field.attacker.password),
            {"Authorization": f"Bearer {field.attacker.password}"},
            {"Cookie": f"__Host-hostward={field.attacker.password}"},
        ):
            for path in ("/api/v1/hosts", "/api/v1/audit"):
                assert client.get(path, headers=headers).status_code == 401


def test_many_connections_that_hold_on_to_what_they_began(field: Field) -> None:
    """A hundred uploads of one host that never go on: another host and the pages are served."""
    parts = urlsplit(field.home.url)
    held: list[socket.socket] = []
    try:
        for _ in range(100):
            plain = socket.create_connection((parts.hostname, parts.port), 10)
            connection = field.home.context.wrap_socket(plain, server_hostname=parts.hostname)
            held.append(connection)
            connection.sendall(
                f"POST /backup/{field.attacker.repository}/data/{'0' * 64} HTTP/1.1\r\n".encode()
                + field.header()
                + b"Content-Length: 1000000\r\n\r\nsome"
            )
        name = field.victim.save("data", b"meanwhile %d" % time.monotonic_ns())
        assert name in field.victim.listed("data")
        with field.home.client() as client:
            assert client.get("/healthz").status_code == 200
            assert client.get("/readyz").status_code == 200
    finally:
        for connection in held:
            connection.close()


def test_what_is_sent_again_changes_nothing(field: Field) -> None:
    """A recorded upload is the same file, and its receipt stays the first."""
    name = field.attacker.save("data", b"recorded")
    before = field.kept()
    for _ in range(3):
        assert field.attacker.save("data", b"recorded") == name
    assert field.kept() == before


def test_a_page_of_another_site_cannot_use_a_browsers_password(field: Field) -> None:
    """A browser that knows the credential is not to be made to write by a link."""
    headers = {
        **basic(field.attacker.user, field.attacker.password),
        "Sec-Fetch-Site": "cross-site",
        "Origin": "https://elsewhere.example",
    }
    with field.home.client() as client:
        url = f"/backup/{field.attacker.repository}/data/{name_of(b'x1')}"
        answer: httpx.Response = client.post(url, headers=headers, content=b"x1")
    assert answer.status_code == 403
