"""Credentials that an instance or a container is given, from a service as Amazon's are, used on a real S3 server."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from backup.stores.contract import FileKind, PermanentStoreError, Store, StoreError
from backup.stores.registry import open_store
from backup.stores.s3_credentials import RoleProvider
from tests.backup.stores.servers import KEY, SECRET
from tests.ports import free_port

NAME = hashlib.sha256(b"x").hexdigest()
TOKEN = "token-of-the-session"


class Service:
    """Gives credentials that are valid for `seconds`, by version 2 of an instance's protocol or as for containers."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.given = 0
        self.broken = False

    def answer(self, method: str, path: str, token: str) -> str | None:
        if self.broken:
            return None
        match method, path:
            case "PUT", "/latest/api/token":
                return TOKEN
            case "GET", "/latest/meta-data/iam/security-credentials/" if token == TOKEN:
                return "backups"
            case "GET", "/latest/meta-data/iam/security-credentials/backups" if token == TOKEN:
                return self.credentials()
            case "GET", "/v2/credentials/some-id":
                return self.credentials()
        return None

    def credentials(self) -> str:
        self.given += 1
        expiration = (datetime.now(UTC) + timedelta(seconds=self.seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json.dumps(
            {
                "Code": "Success",
                "AccessKeyId": KEY,
                "SecretAccessKey": SECRET,
                "Token": "session",
                "Expiration": expiration,
            }
        )


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """The address of the service."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET")

        def do_PUT(self) -> None:
            self._answer("PUT")

        def _answer(self, method: str) -> None:
            answer = service.answer(method, self.path, self.headers.get("X-aws-ec2-metadata-token", ""))
            body = (answer or "").encode()
            self.send_response(200 if answer else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def opened(port: int, home: Path, **environment: str) -> Store:
    return open_store(f"s3:http://127.0.0.1:{port}/role/x", {"HOME": str(home), **environment})


@pytest.mark.parametrize("of", ["instance", "container"])
def test_a_role_gives_the_credentials(s3_server: int, tmp_path: Path, of: str) -> None:
    """Once for all operations, as long as they are valid."""
    service = Service(3600)
    with serving(service) as address:
        environment = (
            {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{address}/"}
            if of == "instance"
            else {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{address}/v2/credentials/some-id"}
        )
        store = opened(s3_server, tmp_path, **environment)
        store.create()
        store.save(FileKind.KEY, NAME, b"x")
        assert store.load(FileKind.KEY, NAME) == b"x"
        assert service.given == 1
        store.close()


def test_credentials_that_expire_are_asked_for_again(s3_server: int, tmp_path: Path) -> None:
    """A backup may take longer than they last. Where the service fails then, that may pass."""
    service = Service(1)
    with serving(service) as address:
        store = opened(s3_server, tmp_path, AWS_EC2_METADATA_SERVICE_ENDPOINT=address)
        store.create()
        given = service.given
        store.save(FileKind.KEY, NAME, b"x")
        assert service.given > given
        service.broken = True
        with pytest.raises(StoreError, match="no new credentials") as caught:
            store.load(FileKind.KEY, NAME)
        assert not caught.value.permanent
        store.close()


def test_a_host_without_any_credentials_is_told_what_there_could_be(tmp_path: Path) -> None:
    """At the first operation, in one sentence, without trying again."""
    service = Service(1)
    service.broken = True
    with serving(service) as address:
        for place in (address, f"http://127.0.0.1:{free_port()}"):
            store = opened(free_port(), tmp_path, AWS_EC2_METADATA_SERVICE_ENDPOINT=place)
            with pytest.raises(PermanentStoreError, match=r"AWS_ACCESS_KEY_ID.*a profile in .*with a role") as caught:
                store.load(FileKind.KEY, NAME)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"AccessKeyId": 1}', "\x00", '{"Expiration": "soon"}'])
def test_nonsense_of_the_service_is_told(tmp_path: Path, answer: str) -> None:
    """As that there are no credentials."""
    service = Service(1)
    service.credentials = lambda: answer  # type: ignore[method-assign]
    with serving(service) as address:
        provider = RoleProvider({"AWS_EC2_METADATA_SERVICE_ENDPOINT": address}, "/none")
        with pytest.raises(PermanentStoreError, match="it gives none"):
            provider.retrieve()
