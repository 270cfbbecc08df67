"""Servers to check: real sockets on this machine, well behaved and not."""

from __future__ import annotations

import datetime
import gzip
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DOCUMENT = {"status": "ok", "queue": {"depth": 7, "a/b": {"m~n": 1.5}}, "items": [{"age": 3}], "up": True, "no": None}


class Application(BaseHTTPRequestHandler):
    """What is done is in the path."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, dict[str, str], bytes]]
    """Method, path, headers in small letters and body of each request."""
    stop: threading.Event
    elsewhere = ""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.seen.append((self.command, self.path, headers, body))
        name = self.path.split("/")[1].split("?")[0]
        getattr(self, f"give_{name}")()

    def do_POST(self) -> None:
        self.do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def give(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for header, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(header.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def give_health(self) -> None:
        self.give(json.dumps(DOCUMENT).encode(), Content_Type="application/json", X_Frame_Options="DENY")

    def give_status(self) -> None:
        self.give(b"sorry", int(self.path.split("/")[2]))

    def give_big(self) -> None:
        self.give(b"x" * 5_000_000)

    def give_bomb(self) -> None:
        self.give(gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")

    def give_broken(self) -> None:
        self.give(b"this is not gzip", Content_Encoding="gzip")

    def give_latin(self) -> None:
        self.give("größe".encode("latin-1"), Content_Type="text/plain; charset=latin-1")

    def give_martian(self) -> None:
        self.give("größe".encode(), Content_Type="text/plain; charset=martian")

    def give_chunked(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")

    def give_cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"only this")
        self.close_connection = True

    def give_silence(self) -> None:
        self.stop.wait(60)

    def give_drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        with suppress(OSError):
            while not self.stop.wait(0.02):
                self.wfile.write(b".")
                self.wfile.flush()

    def give_loop(self) -> None:
        self.give(b"", 302, Location="/loop")

    def give_hop(self) -> None:
        self.give(b"", 302, Location="/health")

    def give_away(self) -> None:
        self.give(b"", 302, Location=self.elsewhere)

    def give_file(self) -> None:
        self.give(b"", 302, Location="file:///etc/passwd")

    def give_endless(self) -> None:
        """A redirect whose body has no end."""
        self.send_response(302)
        self.send_header("Location", "/health")
        self.send_header("Content-Length", "1000000000")
        self.end_headers()
        with suppress(OSError):
            while not self.stop.wait(0.001):
                self.wfile.write(b"x" * 65536)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


class Running:
    """A server at work."""

    def __init__(self, server: Server, handler: type[Application], scheme: str) -> None:
        self.handler = handler
        self.port = server.server_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    @property
    def seen(self) -> list[tuple[str, str, dict[str, str], bytes]]:
        return self.handler.seen


@contextmanager
def serve(context: ssl.SSLContext | None = None) -> Iterator[Running]:
    """An application on a free port; with TLS where there is a context."""
    stop = threading.Event()
    handler = type("Handler", (Application,), {"seen": [], "stop": stop})
    server = Server(("127.0.0.1", 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield Running(server, handler, "https" if context else "http")
    finally:
        stop.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def listen(talk: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """A port where `talk` has each connection; gives the port's number."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)

        def accept() -> None:
            while not stop.is_set():
                with suppress(TimeoutError):
                    connection, _ = listening.accept()
                    with connection, suppress(OSError):
                        connection.settimeout(10)
                        talk(connection, stop)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def certificate(folder: Path, *, expired: bool = False) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for 127.0.0.1, and the file of the authority that vouches for it: itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    until = now - datetime.timedelta(days=1) if expired else now + datetime.timedelta(days=1)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private = folder / "key.pem"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, private)
    return context, file
