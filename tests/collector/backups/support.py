"""A host that uses its repository at home, as restic does: by HTTP Basic, below /backup/."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.collector import support
from wire.access import Access, AccessRequest, decode_access
from wire.protocol import BACKUP_ACCESS, JSON_TYPE

VERSION_2 = "application/vnd.x.restic.rest.v2"


def name_of(content: bytes) -> str:
    """Of a file."""
    return hashlib.sha256(content).hexdigest()


def basic(user: str, password: str) -> dict[str, str]:
    """The header of HTTP Basic."""
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


@dataclass
class Guest:
    """A host with its credential, over any client with httpx's interface."""

    host: support.Host
    repository: str = ""
    user: str = ""
    password: str = ""

    def ask(self, held: str | None = None) -> httpx.Response:
        """For access."""
        body = msgspec.json.encode(AccessRequest(held=held))
        return self.host.post(BACKUP_ACCESS, body, headers={"Content-Type": JSON_TYPE})

    def arrive(self) -> Access:
        """Get a new credential and use it from now on."""
        answer = self.ask()
        assert answer.status_code == 200, answer.text
        found = decode_access(answer.content)
        assert found.password is not None
        self.repository, self.user, self.password = found.repository, found.user, found.password
        return found

    def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """By a path in the repository."""
        given = {**basic(self.user, self.password), **(headers or {})}
        return self.host.client.request(method, f"/backup/{self.repository}/{path}", headers=given, **options)

    def create(self) -> None:
        """The repository, with a config."""
        assert self.request("POST", "?create=true").status_code == 200
        assert self.request("POST", "config", content=b"config of " + self.user.encode()).status_code == 200

    def save(self, kind: str, content: bytes) -> str:
        """A file, which must be taken; its name."""
        name = name_of(content)
        answer = self.request("POST", f"{kind}/{name}", content=content)
        assert answer.status_code == 200, answer.text
        return name

    def listed(self, kind: str) -> dict[str, int]:
        """Names and sizes."""
        answer = self.request("GET", f"{kind}/", headers={"Accept": VERSION_2})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == VERSION_2
        return {one["name"]: one["size"] for one in answer.json()}


def guest(home: support.Home, name: str = "web1") -> Guest:
    """A new host that has access."""
    host = support.Host(home.client, home.clock)
    answer = host.enroll(home.token(), name)
    assert answer.status_code == 200, answer.text
    made = Guest(host)
    made.arrive()
    return made


def files_below(folder: Path) -> dict[str, bytes]:
    """What is in a folder, by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
